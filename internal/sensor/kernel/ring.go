package kernel

import (
	"fmt"
	"os"
	"sync/atomic"
	"unsafe"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"
)

// ring is the reading side of a BPF ring buffer. Unlike the library's reader it can be asked
// without a system call, which is what polling several of them from one goroutine needs.
type ring struct {
	fd       int
	consumer []byte // one page, written by us
	producer []byte // one page and then the data twice, so that no record is split
	data     []byte
	mask     uint64
}

const (
	ringBusy    = 1 << 31
	ringDiscard = 1 << 30
	ringHeader  = 8
)

func newRing(m *ebpf.Map) (*ring, error) {
	page := os.Getpagesize()
	size := int(m.MaxEntries())
	consumer, err := unix.Mmap(m.FD(), 0, page, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		return nil, fmt.Errorf("kernel: map ring: %w", err)
	}
	producer, err := unix.Mmap(m.FD(), int64(page), page+2*size, unix.PROT_READ, unix.MAP_SHARED)
	if err != nil {
		unix.Munmap(consumer)
		return nil, fmt.Errorf("kernel: map ring: %w", err)
	}
	return &ring{fd: m.FD(), consumer: consumer, producer: producer, data: producer[page:], mask: uint64(size - 1)}, nil
}

func (r *ring) Close() error {
	unix.Munmap(r.consumer)
	return unix.Munmap(r.producer)
}

func position(page []byte) *atomic.Uint64 {
	return (*atomic.Uint64)(unsafe.Pointer(&page[0]))
}

func (r *ring) waiting() bool {
	return position(r.consumer).Load() != position(r.producer).Load()
}

// drain gives each waiting record to read and returns how many there were, at most limit. The
// bytes are the kernel's: they are void once read returns.
func (r *ring) drain(limit int, read func([]byte)) int {
	at := position(r.consumer).Load()
	end := position(r.producer).Load()
	count := 0
	for at < end && count < limit {
		start := at & r.mask
		header := (*atomic.Uint32)(unsafe.Pointer(&r.data[start])).Load()
		if header&ringBusy != 0 {
			break // still being written; what follows has to wait
		}
		length := uint64(header &^ (ringBusy | ringDiscard))
		if header&ringDiscard == 0 {
			read(r.data[start+ringHeader : start+ringHeader+length])
			count++
		}
		at += (length + ringHeader + 7) &^ 7
		position(r.consumer).Store(at)
	}
	return count
}
