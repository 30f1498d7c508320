package kernel

import (
	_ "embed"
	"errors"
	"fmt"
	"io"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
)

//go:embed lsm.bpfel.o
var lsmObject []byte

//go:embed tracing.bpfel.o
var tracingObject []byte

// attachLSM adds denials by the kernel's security hooks; they read the same maps.
func (s *Sensor) attachLSM() error {
	return s.attachFurther(lsmObject, func(p *ebpf.Program) (link.Link, error) {
		return link.AttachLSM(link.LSMOptions{Program: p})
	})
}

// attachTracing puts opens and mappings on the functions that decide about them.
func (s *Sensor) attachTracing() error {
	return s.attachFurther(tracingObject, func(p *ebpf.Program) (link.Link, error) {
		return link.AttachTracing(link.TracingOptions{Program: p})
	})
}

// attachFurther loads an object whose programs use the maps of the first, and attaches all or none.
func (s *Sensor) attachFurther(object []byte, attach func(*ebpf.Program) (link.Link, error)) error {
	programs, err := spec(object, s.config)
	if err != nil {
		return err
	}
	loaded, err := s.overlay.collection(programs, s.collection.Maps)
	if err != nil {
		return fmt.Errorf("kernel: load further programs: %w", err)
	}
	closers := []io.Closer{closer(loaded.Close)}
	for name, program := range loaded.Programs {
		l, err := attach(program)
		if err != nil {
			errs := []error{fmt.Errorf("kernel: attach %s: %w", name, err)}
			for _, c := range closers {
				errs = append(errs, c.Close())
			}
			return errors.Join(errs...)
		}
		closers = append(closers, l)
	}
	s.further = append(s.further, loaded)
	s.closers = append(s.closers, closers...)
	return nil
}

// closer is a function that cannot fail as an io.Closer.
type closer func()

func (c closer) Close() error {
	c()
	return nil
}
