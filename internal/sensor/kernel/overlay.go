package kernel

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/btf"

	"github.com/hullmark/hullmark/internal/sensor/kernel/lab"
)

// The layouts of overlay's structures that bpf/file.h can read, by the kernels that have them.
const (
	since58  = "5.8 to 5.18"
	since519 = "5.19 to 6.4"
	since65  = "6.5 and later"
)

// overlay is how the running kernel's overlay is read. The zero value reads none: files are of unknown origin.
type overlay struct {
	layout string      // one of the above; "" where it is not known
	where  string      // for people
	extra  []*btf.Spec // what has to be known beside the kernel's own description
	kernel *btf.Spec   // stands in for the kernel's own, in tests
}

func (o overlay) String() string { return o.where + ", layout of " + o.layout }

// proofWithin bounds the proof of a layout, which takes some tenths of a second.
const proofWithin = 30 * time.Second

// findOverlay finds the description of overlay in the kernel or in the module. Where neither has one, as
// before 5.11 where overlay is a module, it looks for a layout that proves itself on known files.
func findOverlay() (overlay, error) {
	types, err := btf.LoadKernelSpec()
	if err != nil {
		return overlay{}, err
	}
	if layout := described(types); layout != "" {
		return overlay{layout: layout, where: "built in"}, nil
	}
	if o, err := describedModule(); o.layout != "" || err != nil {
		return o, err
	}
	root, err := CgroupRoot()
	if err != nil {
		return overlay{}, err
	}
	ctx, cancel := context.WithTimeout(context.Background(), proofWithin)
	defer cancel()
	var o overlay
	err = lab.In(root, "hullmark-layout", func(l *lab.Lab) (err error) {
		// The lab's mount has loaded the module where that was not done before.
		if o, err = describedModule(); o.layout != "" || err != nil {
			return err
		}
		o, err = provedLayout(ctx, l, types)
		return err
	})
	if err != nil {
		return overlay{}, fmt.Errorf("neither the kernel nor a loaded module describes overlay, and no known layout proved itself: %w", err)
	}
	return o, nil
}

func describedModule() (overlay, error) {
	module, err := btf.LoadKernelModuleSpec("overlay")
	if errors.Is(err, os.ErrNotExist) {
		return overlay{}, nil
	}
	if err != nil {
		return overlay{}, fmt.Errorf("kernel: types of the overlay module: %w", err)
	}
	return overlay{layout: described(module), where: "a module", extra: []*btf.Spec{module}}, nil
}

// described tells of which layout a description is.
func described(types *btf.Spec) string {
	var inode *btf.Struct
	if types.TypeByName("ovl_inode", &inode) != nil {
		return ""
	}
	for _, member := range inode.Members {
		switch member.Name {
		case "oe":
			return since65
		case "lowerpath":
			return since519
		}
	}
	return since58
}

func provedLayout(ctx context.Context, l *lab.Lab, kernel *btf.Spec) (overlay, error) {
	var inode *btf.Struct
	if err := kernel.TypeByName("inode", &inode); err != nil {
		return overlay{}, err
	}
	known, err := layouts(inode)
	if err != nil {
		return overlay{}, err
	}
	files, err := witnesses(l)
	if err != nil {
		return overlay{}, err
	}
	var errs []error
	for _, one := range known {
		err := one.prove(ctx, l, files, nil)
		if err == nil {
			return overlay{layout: one.kernels, where: "not described, but proved on known files", extra: []*btf.Spec{one.types}}, nil
		}
		errs = append(errs, err)
	}
	return overlay{}, errors.Join(errs...)
}

// collection loads an object. Maps of the same name that shared has are used instead of new ones.
func (o overlay) collection(s *ebpf.CollectionSpec, shared map[string]*ebpf.Map) (*ebpf.Collection, error) {
	replace := map[string]*ebpf.Map{}
	for name := range s.Maps {
		if m, ok := shared[name]; ok && name[0] != '.' {
			replace[name] = m
		}
	}
	return ebpf.NewCollectionWithOptions(s, ebpf.CollectionOptions{
		Programs:        ebpf.ProgramOptions{KernelTypes: o.kernel, ExtraRelocationTargets: o.extra},
		MapReplacements: replace,
	})
}
