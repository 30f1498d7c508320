package main

import (
	"context"
	"fmt"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// load is one run of wrk: connections from one thread, for some time, of one GET.
type load struct {
	connections int
	duration    time.Duration
	headers     []string
}

// result is what wrk saw.
type result struct {
	perSecond float64 // requests
	p99       time.Duration
}

var (
	wrkRate     = regexp.MustCompile(`Requests/sec:\s+([0-9.]+)`)
	wrkP99      = regexp.MustCompile(`99%\s+([0-9.]+)(us|ms|s|m)`)
	wrkFailures = regexp.MustCompile(`Non-2xx or 3xx responses: \d+|Socket errors: .*`)
)

// run loads url. Refused or broken answers are an error: they would count as fast ones.
func (l load) run(ctx context.Context, url string) (result, error) {
	args := []string{"-t1", fmt.Sprintf("-c%d", l.connections), fmt.Sprintf("-d%ds", int(l.duration.Seconds())), "--timeout", "60s", "--latency"}
	for _, h := range l.headers {
		args = append(args, "-H", h)
	}
	out, err := exec.CommandContext(ctx, "wrk", append(args, url)...).CombinedOutput()
	if err != nil {
		return result{}, fmt.Errorf("wrk %s: %w: %s", url, err, out)
	}
	if failures := wrkFailures.Find(out); failures != nil {
		return result{}, fmt.Errorf("wrk %s: %s", url, failures)
	}
	rate := wrkRate.FindSubmatch(out)
	if rate == nil {
		return result{}, fmt.Errorf("wrk %s printed no rate: %s", url, out)
	}
	perSecond, err := strconv.ParseFloat(string(rate[1]), 64)
	return result{perSecond: perSecond, p99: parseP99(string(out))}, err
}

// parseP99 reads wrk's 99th percentile; 0 when there is none.
func parseP99(out string) time.Duration {
	m := wrkP99.FindStringSubmatch(out)
	if m == nil {
		return 0
	}
	d, err := time.ParseDuration(m[1] + strings.Replace(m[2], "us", "µs", 1))
	if err != nil {
		return 0
	}
	return d
}

// inTurn runs the peer and then us, round after round, and returns the values of both. peer may
// be nil.
func (b *bench) inTurn(ctx context.Context, ours, peer func(context.Context, int) (float64, error)) (our, their []float64, err error) {
	for round := range b.rounds {
		if peer != nil {
			v, err := peer(ctx, round)
			if err != nil {
				return nil, nil, err
			}
			their = append(their, v)
		}
		v, err := ours(ctx, round)
		if err != nil {
			return nil, nil, err
		}
		our = append(our, v)
	}
	return our, their, nil
}
