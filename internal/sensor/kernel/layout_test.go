package kernel

import (
	"testing"

	"github.com/cilium/ebpf/btf"

	"github.com/hullmark/hullmark/internal/sensor/kernel/lab"
)

// withoutOverlay is the running kernel's description of what the sensor reads, as a kernel would give it that
// does not describe overlay.
func withoutOverlay(t *testing.T) (types *btf.Spec, inode *btf.Struct) {
	t.Helper()
	all, err := btf.LoadKernelSpec()
	if err != nil {
		t.Fatal(err)
	}
	var kept []btf.Type
	for _, name := range []string{"linux_binprm", "file", "dentry", "super_block", "vfsmount", "mount", "task_struct", "inode"} {
		inode = nil // the last one is it
		if err := all.TypeByName(name, &inode); err != nil {
			t.Fatal(err)
		}
		kept = append(kept, inode)
	}
	b, err := btf.NewBuilder(kept, nil)
	if err != nil {
		t.Fatal(err)
	}
	if types, err = b.Spec(); err != nil {
		t.Fatal(err)
	}
	if _, ok := described(types); ok {
		t.Fatal("the description still has overlay in it")
	}
	return types, inode
}

func TestOfAllLayoutsOnlyThisKernelsProvesItself(t *testing.T) {
	needsKernel(t)
	types, inode := withoutOverlay(t)
	known, err := layouts(inode)
	if err != nil {
		t.Fatal(err)
	}
	found, err := findOverlay()
	if err != nil {
		t.Fatal(err)
	}
	t.Log(found.how)
	inTestLab(t, func(l *lab.Lab) error {
		files, err := witnesses(l)
		if err != nil {
			return err
		}
		var proved []string
		for _, one := range known {
			if err := one.prove(t.Context(), l, files, types); err != nil {
				t.Log(err)
				continue
			}
			proved = append(proved, one.kernels)
		}
		if len(proved) != 1 {
			t.Errorf("%q proved themselves", proved)
		} else if is, ok := describedOfThisKernel(t); ok && is != proved[0] {
			t.Errorf("the layout of %s proved itself; this kernel describes that of %s", proved[0], is)
		}
		return nil
	})
}

func describedOfThisKernel(t *testing.T) (kernels string, ok bool) {
	t.Helper()
	types, err := btf.LoadKernelSpec()
	if err != nil {
		t.Fatal(err)
	}
	if kernels, ok = described(types); ok {
		return kernels, true
	}
	module, err := btf.LoadKernelModuleSpec("overlay")
	if err != nil {
		return "", false
	}
	return described(module)
}

// A wrong claim must not prove itself by being near: here the first lower path is looked for one word off.
func TestALayoutThatIsAWordOffIsNotUsed(t *testing.T) {
	needsKernel(t)
	types, inode := withoutOverlay(t)
	wrong := *inode
	wrong.Size += 8
	known, err := layouts(&wrong)
	if err != nil {
		t.Fatal(err)
	}
	inTestLab(t, func(l *lab.Lab) error {
		files, err := witnesses(l)
		if err != nil {
			return err
		}
		for _, one := range known {
			if one.prove(t.Context(), l, files, types) == nil {
				t.Errorf("%s proved itself", one.kernels)
			}
		}
		return nil
	})
}
