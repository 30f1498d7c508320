package kernel

import (
	"context"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sys/unix"
)

// batch is how many events of one ring are read before the other has its turn.
const batch = 512

// Run gives every event to handle, until ctx ends, and returns nil then. The event is only lent: what
// handle keeps it must copy. handle must not block: while it does, the rings fill.
func (s *Sensor) Run(ctx context.Context, handle func(*Event)) error {
	poll, err := newPoller(s.critical.fd, s.bulk.fd)
	if err != nil {
		return err
	}
	defer poll.Close()
	stop := context.AfterFunc(ctx, poll.wake)
	defer stop()

	decode := newDecoder(s.patterns)
	var event Event
	var broken error
	read := func(raw []byte) {
		keep, err := decode.decode(raw, &event)
		switch {
		case err != nil:
			broken = errors.Join(broken, err)
		case keep:
			handle(&event)
		}
	}
	for ctx.Err() == nil {
		if s.critical.waiting() || s.bulk.waiting() {
			decode.boot = bootTime(s.config.Clock)
		}
		// The critical ring is the smaller one, so it is looked at before and after each batch of the other.
		busy := s.critical.drain(batch, read) == batch
		busy = s.bulk.drain(batch, read) == batch || busy
		if broken != nil {
			return broken
		}
		if busy {
			continue
		}
		if err := poll.wait(int(s.config.Poll.Milliseconds())); err != nil {
			return err
		}
	}
	return nil
}

// poller waits for a ring that asks to be read at once, for the time of a poll, or for the end.
type poller struct {
	epoll, end int
}

func newPoller(fds ...int) (*poller, error) {
	epoll, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("kernel: epoll: %w", err)
	}
	end, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	if err != nil {
		unix.Close(epoll)
		return nil, fmt.Errorf("kernel: eventfd: %w", err)
	}
	p := &poller{epoll: epoll, end: end}
	for _, fd := range append(fds, end) {
		// Edge-triggered: a ring that holds unannounced events is otherwise always ready.
		event := unix.EpollEvent{Events: unix.EPOLLIN | unix.EPOLLET, Fd: int32(fd)}
		if err := unix.EpollCtl(epoll, unix.EPOLL_CTL_ADD, fd, &event); err != nil {
			p.Close()
			return nil, fmt.Errorf("kernel: epoll: %w", err)
		}
	}
	return p, nil
}

func (p *poller) wait(milliseconds int) error {
	var events [4]unix.EpollEvent
	_, err := unix.EpollWait(p.epoll, events[:], milliseconds)
	if err != nil && !errors.Is(err, unix.EINTR) {
		return fmt.Errorf("kernel: wait for events: %w", err)
	}
	return nil
}

func (p *poller) wake() {
	unix.Write(p.end, []byte{1, 0, 0, 0, 0, 0, 0, 0}) //nolint:errcheck // a full counter is awake already
}

func (p *poller) Close() error {
	return errors.Join(unix.Close(p.end), unix.Close(p.epoll))
}

// pause waits, or returns early with the error of ctx.
func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}
