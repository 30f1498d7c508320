package kernel

import (
	_ "embed"
	"fmt"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
)

//go:embed lsm.bpfel.o
var lsmObject []byte

// attachLSM adds denials by the kernel's security hooks; they read the same maps.
func (s *Sensor) attachLSM() error {
	programs, err := spec(lsmObject, s.config)
	if err != nil {
		return err
	}
	shared := map[string]*ebpf.Map{}
	for name, m := range s.collection.Maps {
		shared[name] = m
	}
	loaded, err := collection(programs, shared)
	if err != nil {
		return fmt.Errorf("kernel: load security hooks: %w", err)
	}
	s.closers = append(s.closers, closer(loaded.Close))
	for name, program := range loaded.Programs {
		l, err := link.AttachLSM(link.LSMOptions{Program: program})
		if err != nil {
			return fmt.Errorf("kernel: attach %s: %w", name, err)
		}
		s.closers = append(s.closers, l)
	}
	return nil
}

// closer is a function that cannot fail as an io.Closer.
type closer func()

func (c closer) Close() error {
	c()
	return nil
}
