package kernel

import (
	"context"
	"errors"
	"fmt"
)

// LoadBest loads the sensor and proves the best level, up to most, that this machine has: it tries
// each in turn, best first, until one passes its self-test. reasons says why better ones were not
// taken; where not even [Observe] passes, it fails with them.
func LoadBest(ctx context.Context, config Config, most Level) (s *Sensor, level Level, reasons []string, err error) {
	found := Probe()
	level = min(found.Level, most)
	reasons = found.without(level, most)
	for ; level > None; level-- {
		config.LSM = level == DenyLSM
		s, err = proved(ctx, config, level)
		if err == nil {
			return s, level, reasons, nil
		}
		reasons = append(reasons, reason(err))
	}
	return nil, None, reasons, errors.Join(errors.New("kernel: this machine cannot be watched"), err)
}

func proved(ctx context.Context, config Config, level Level) (*Sensor, error) {
	s, err := Load(config)
	if err != nil {
		return nil, err
	}
	if err := s.SelfTest(ctx, level); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

// without says what is missing for the levels above the best one.
func (c Capabilities) without(best, most Level) []string {
	var out []string
	for _, need := range []struct {
		level Level
		name  string
		Feature
	}{
		{DenyLSM, "lsm", c.LSM}, {DenyFanotify, "fanotify", c.Fanotify}, {Kill, "signal", c.Signal},
		{Observe, "types", c.Types}, {Observe, "ring_buffer", c.RingBuffer}, {Observe, "raw_tracepoints", c.RawTracepoints},
	} {
		if need.level > best && need.level <= most && !need.OK {
			out = append(out, fmt.Sprintf("%s needs %s: %s", need.level, need.name, need.Reason))
		}
	}
	return out
}
