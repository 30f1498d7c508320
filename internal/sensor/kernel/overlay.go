package kernel

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/cilium/ebpf/btf"

	"github.com/hullmark/hullmark/internal/sensor/kernel/lab"
)

// overlay is how this kernel's overlay is read: types are what the kernel's own description lacks.
type overlay struct {
	how   string
	types []*btf.Spec
}

// extra is what has to be known beside the kernel's own description; nothing where overlay is not known.
func (o *overlay) extra() []*btf.Spec {
	if o == nil {
		return nil
	}
	return o.types
}

// proofWithin bounds the proof of a layout, which takes some tenths of a second.
const proofWithin = 30 * time.Second

// findOverlay finds the description of overlay in the kernel or in the module. Where neither has one, as
// before 5.11 where overlay is a module, it looks for a layout that proves itself on known files.
func findOverlay() (*overlay, error) {
	types, err := btf.LoadKernelSpec()
	if err != nil {
		return nil, err
	}
	if kernels, ok := described(types); ok {
		return &overlay{how: "built in, layout of " + kernels}, nil
	}
	if o, err := describedModule(); o != nil || err != nil {
		return o, err
	}
	root, err := CgroupRoot()
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(context.Background(), proofWithin)
	defer cancel()
	var o *overlay
	err = lab.In(root, "hullmark-layout", func(l *lab.Lab) (err error) {
		// The lab's mount has loaded the module where that was not done before.
		if o, err = describedModule(); o != nil || err != nil {
			return err
		}
		o, err = provedLayout(ctx, l, types)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("neither the kernel nor a loaded module describes overlay, and no known layout of it proved itself: %w", err)
	}
	return o, nil
}

func describedModule() (*overlay, error) {
	module, err := btf.LoadKernelModuleSpec("overlay")
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("kernel: types of the overlay module: %w", err)
	}
	kernels, ok := described(module)
	if !ok {
		return nil, nil
	}
	return &overlay{how: "a module, layout of " + kernels, types: []*btf.Spec{module}}, nil
}

// described tells which of the layouts that bpf/file.h can read a description is of.
func described(types *btf.Spec) (kernels string, ok bool) {
	var inode *btf.Struct
	if types.TypeByName("ovl_inode", &inode) != nil {
		return "", false
	}
	kernels = "5.8 to 5.18"
	for _, member := range inode.Members {
		switch member.Name {
		case "oe":
			kernels = "6.5 and later"
		case "lowerpath":
			kernels = "5.19 to 6.4"
		}
	}
	return kernels, true
}

func provedLayout(ctx context.Context, l *lab.Lab, kernel *btf.Spec) (*overlay, error) {
	var inode *btf.Struct
	if err := kernel.TypeByName("inode", &inode); err != nil {
		return nil, err
	}
	known, err := layouts(inode)
	if err != nil {
		return nil, err
	}
	files, err := witnesses(l)
	if err != nil {
		return nil, err
	}
	var errs []error
	for _, one := range known {
		err := one.prove(ctx, l, files, nil)
		if err == nil {
			return &overlay{how: "not described; the layout of " + one.kernels + " was proved on known files", types: []*btf.Spec{one.types}}, nil
		}
		errs = append(errs, err)
	}
	return nil, errors.Join(errs...)
}
