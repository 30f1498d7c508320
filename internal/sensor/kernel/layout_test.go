package kernel

import (
	"testing"

	"github.com/cilium/ebpf/btf"

	"github.com/hullmark/hullmark/internal/sensor/kernel/lab"
)

// withoutOverlay is the running kernel's description of what the sensor reads, as a kernel would give it that
// does not describe overlay, and the layouts that would be tried there.
func withoutOverlay(t *testing.T) (types *btf.Spec, known []layout) {
	t.Helper()
	needsKernel(t)
	all, err := btf.LoadKernelSpec()
	if err != nil {
		t.Fatal(err)
	}
	var kept []btf.Type
	for _, name := range []string{
		"linux_binprm", "file", "dentry", "super_block", "vfsmount", "mount", "task_struct", "inode", "cgroup", "cgroup_subsys_state",
		"cgroup_root", "kernfs_node", "sock", "sock_common", "socket", "pt_regs", "fdtable", "files_struct", "fs_struct", "nsproxy",
		"mnt_namespace", "signal_struct", "mm_struct", "cred", "bpf_func_id",
	} {
		of, err := all.AnyTypesByName(name)
		if err != nil {
			t.Fatal(err)
		}
		kept = append(kept, of...)
	}
	b, err := btf.NewBuilder(kept, nil)
	if err != nil {
		t.Fatal(err)
	}
	if types, err = b.Spec(); err != nil {
		t.Fatal(err)
	}
	if described(types) != "" {
		t.Fatal("the description still has overlay in it")
	}
	var inode *btf.Struct
	if err := types.TypeByName("inode", &inode); err != nil {
		t.Fatal(err)
	}
	if known, err = layouts(inode); err != nil {
		t.Fatal(err)
	}
	return types, known
}

func proved(t *testing.T, types *btf.Spec, known []layout) (out []layout) {
	t.Helper()
	inTestLab(t, func(l *lab.Lab) error {
		files, err := witnesses(l)
		if err != nil {
			return err
		}
		for _, one := range known {
			if err := one.prove(t.Context(), l, files, types); err != nil {
				t.Log(err)
				continue
			}
			out = append(out, one)
		}
		return nil
	})
	return out
}

func TestTheFirstLayoutThatProvesItselfIsThisKernels(t *testing.T) {
	types, known := withoutOverlay(t)
	want, err := findOverlay()
	if err != nil {
		t.Fatal(err)
	}
	t.Log(want)
	got := proved(t, types, known)
	if len(got) == 0 || got[0].kernels != want.layout {
		t.Fatalf("want %s, proved are %+v", want.layout, got)
	}
	// And with it all of the sensor works.
	sensor, err := load(Config{}, overlay{layout: got[0].kernels, extra: []*btf.Spec{got[0].types}, kernel: types})
	if err != nil {
		t.Fatal(err)
	}
	defer sensor.Close()
	if err := sensor.SelfTest(t.Context(), Kill); err != nil {
		t.Error(err)
	}
}

func TestALayoutThatIsAWordOffDoesNotProveItself(t *testing.T) {
	types, _ := withoutOverlay(t)
	var inode *btf.Struct
	if err := types.TypeByName("inode", &inode); err != nil {
		t.Fatal(err)
	}
	wrong := *inode
	wrong.Size += 8
	known, err := layouts(&wrong)
	if err != nil {
		t.Fatal(err)
	}
	if got := proved(t, types, known); len(got) > 0 {
		t.Errorf("proved are %+v", got)
	}
}

func TestWhereNoLayoutIsKnownOriginsAreUnknownAndNothingIsKilledForThem(t *testing.T) {
	types, _ := withoutOverlay(t)
	sensor, err := load(Config{}, overlay{kernel: types})
	if err != nil {
		t.Fatal(err)
	}
	defer sensor.Close()
	for _, level := range []Level{Observe, DenyFanotify} {
		if err := sensor.SelfTest(t.Context(), level); err != nil {
			t.Errorf("%s: %v", level, err)
		}
	}
	if err := sensor.SelfTest(t.Context(), Kill); err == nil {
		t.Error("kill proved itself without knowing what is drift")
	}
}
