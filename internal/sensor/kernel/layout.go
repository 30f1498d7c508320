package kernel

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"os"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/btf"
	"github.com/cilium/ebpf/link"
	"golang.org/x/sys/unix"

	"github.com/hullmark/hullmark/internal/sensor/kernel/lab"
)

//go:embed layout.bpfel.o
var layoutObject []byte

// layout is a description of overlay's structures that this program brings along, for kernels that do not
// describe theirs. It is a claim: only [layout.prove] makes it true.
type layout struct {
	kernels string // whose it is
	types   *btf.Spec
}

// layouts are those that mainline kernels have had since 5.8, on 64-bit machines, the newest first: from 5.19
// to 6.4 the older one is there as well. The inode's own size is the running kernel's; only what lies behind
// it is claimed. The names are no more than that: vendors have taken newer layouts into older kernels.
//
// Source: fs/overlayfs/ovl_entry.h, structs ovl_inode, ovl_entry, ovl_path and ovl_layer.
func layouts(inode *btf.Struct) ([]layout, error) {
	const word = 8
	behind := (inode.Size + word - 1) / word * word // overlay's own part of an inode
	number := &btf.Int{Name: "int", Size: 4, Encoding: btf.Signed}
	address := &btf.Pointer{Target: &btf.Void{}}
	structure := func(name string, members ...btf.Member) *btf.Struct {
		return &btf.Struct{Name: name, Size: behind + 8*word, Members: members}
	}
	member := func(name string, t btf.Type, at uint32) btf.Member {
		return btf.Member{Name: name, Type: t, Offset: btf.Bits(at * 8)}
	}
	// Behind the mount, the trap and the file system; the same in all of them.
	layer := structure("ovl_layer", member("idx", number, 3*word))
	path := &btf.Struct{Name: "ovl_path", Size: 2 * word, Members: []btf.Member{
		member("layer", address, 0), member("dentry", address, word),
	}}
	stack := &btf.Array{Index: number, Type: path, Nelems: 1}
	// Without a name: a second "inode" would contend with the kernel's.
	inner := member("vfs_inode", &btf.Struct{Size: inode.Size}, 0)
	upper := member("__upperdentry", address, behind)

	var out []layout
	for _, claim := range []struct {
		kernels string
		types   []btf.Type
	}{
		{since65, []btf.Type{layer, structure("ovl_inode", inner, upper, member("oe", address, behind+word)),
			structure("ovl_entry", member("__numlower", number, 0), member("__lowerstack", stack, word))}},
		{since519, []btf.Type{layer, structure("ovl_inode", inner, upper, member("lowerpath", path, behind+word))}},
		{since58, []btf.Type{layer, structure("ovl_inode", inner, upper), // the stack is behind a struct rcu_head
			structure("ovl_entry", member("numlower", number, 2*word), member("lowerstack", stack, 3*word))}},
	} {
		b, err := btf.NewBuilder(claim.types, nil)
		if err != nil {
			return nil, fmt.Errorf("kernel: describe overlay: %w", err)
		}
		types, err := b.Spec()
		if err != nil {
			return nil, fmt.Errorf("kernel: describe overlay: %w", err)
		}
		out = append(out, layout{claim.kernels, types})
	}
	return out, nil
}

// found is bpf/layout.bpf.c's struct found.
type found struct {
	RealInode, LowerInode uint64
	RealDev, LowerDev     uint32
	Origin, Layer         uint32
}

// witness is a program whose place in the lab's overlay is known, and what has to be read about it.
type witness struct {
	program string
	want    found
}

// witnesses puts a file into every place that a file can have: each of two layers, one of them copied up,
// and the upper folder alone, once under a name that no layer has and once over a layer's file.
func witnesses(l *lab.Lab) ([]witness, error) {
	if err := os.Chmod(l.Merged("changed"), 0o700); err != nil {
		return nil, fmt.Errorf("kernel: copy a file up: %w", err)
	}
	drift, err := l.Drift("drift")
	if err != nil {
		return nil, err
	}
	if err := os.Remove(l.Merged("replaced")); err != nil {
		return nil, fmt.Errorf("kernel: replace a file: %w", err)
	}
	replaced, err := l.Drift("replaced")
	if err != nil {
		return nil, err
	}
	var out []witness
	for _, place := range []struct {
		program, real, lower string
		origin               Origin
		layer                uint32
	}{
		{l.Merged("lower"), l.Path("lower2", "lower"), l.Path("lower2", "lower"), OriginLower, 2},
		{l.Merged("top"), l.Path("lower1", "top"), l.Path("lower1", "top"), OriginLower, 1},
		{l.Merged("changed"), l.Path("upper", "changed"), l.Path("lower2", "changed"), OriginCopiedUp, 2},
		{drift, l.Path("upper", "drift"), "", OriginUpper, 0},
		{replaced, l.Path("upper", "replaced"), "", OriginUpper, 0},
	} {
		w := witness{place.program, found{Origin: uint32(place.origin), Layer: place.layer}}
		if w.want.RealInode, w.want.RealDev, err = numberOf(place.real); err != nil {
			return nil, err
		}
		if place.lower != "" {
			if w.want.LowerInode, w.want.LowerDev, err = numberOf(place.lower); err != nil {
				return nil, err
			}
		}
		out = append(out, w)
	}
	return out, nil
}

func numberOf(file string) (inode uint64, dev uint32, err error) {
	var st unix.Stat_t
	if err := unix.Stat(file, &st); err != nil {
		return 0, 0, fmt.Errorf("kernel: stat %s: %w", file, err)
	}
	return st.Ino, kernelDevice(st.Dev), nil
}

// prove reads the witnesses by this layout, with the sensor's own code, and fails unless every number of
// them is the one that stat tells. kernel is the running kernel's description; nil loads it.
func (c layout) prove(ctx context.Context, l *lab.Lab, files []witness, kernel *btf.Spec) error {
	look, err := c.load(l.ID, kernel)
	if err != nil {
		return fmt.Errorf("kernel: load the proof of a layout: %w", err)
	}
	defer look.Close()
	attached, err := link.AttachRawTracepoint(link.RawTracepointOptions{Name: "sched_process_exec", Program: look.Programs["look"]})
	if err != nil {
		return fmt.Errorf("kernel: attach the proof of a layout: %w", err)
	}
	defer attached.Close()
	var errs []error
	for _, w := range files {
		got, err := read(ctx, l, w.program, look.Maps["found"])
		if err != nil {
			return err
		}
		if got != w.want {
			errs = append(errs, fmt.Errorf("kernel: layout of %s: %s was read as %+v and is %+v", c.kernels, w.program, got, w.want))
		}
	}
	return errors.Join(errs...)
}

func (c layout) load(cgroup uint64, kernel *btf.Spec) (*ebpf.Collection, error) {
	programs, err := spec(layoutObject, Config{}.withDefaults())
	if err != nil {
		return nil, err
	}
	for name := range programs.Maps {
		if name != "found" && name[0] != '.' {
			delete(programs.Maps, name) // the sensor's, which this object declares and does not use
		}
	}
	if err := programs.Variables["lab_cgroup"].Set(cgroup); err != nil {
		return nil, err
	}
	o := overlay{kernel: kernel, extra: []*btf.Spec{c.types}}
	return o.collection(programs, nil)
}

// read runs a program and returns what the kernel made of its file.
func read(ctx context.Context, l *lab.Lab, program string, result *ebpf.Map) (found, error) {
	if err := result.Put(uint32(0), found{}); err != nil {
		return found{}, fmt.Errorf("kernel: proof of a layout: %w", err)
	}
	if out, err := l.Run(ctx, program); err != nil || out != "!" {
		return found{}, fmt.Errorf("kernel: proof of a layout: %s did not run: %q, %w", program, out, err)
	}
	var got found
	if err := result.Lookup(uint32(0), &got); err != nil {
		return found{}, fmt.Errorf("kernel: proof of a layout: %w", err)
	}
	return got, nil
}
