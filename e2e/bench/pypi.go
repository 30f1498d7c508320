package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/hullmark/hullmark/internal/registry/pypi/pypitest"
)

// The project whose index is read: 5,000 wheels, a hundred for each version.
const (
	wheelVersions = 50
	wheelsEach    = 100
	pypiUploads   = 4 // at a time
)

// pypi measures the simple index of a project of 5,000 files.
func (b *bench) pypi(ctx context.Context) error {
	ours, err := b.startOurs(ctx, "pypi")
	if err != nil {
		return err
	}
	defer ours.stop()
	if err := b.tell(ctx, ours, []string{"namespace", "claim", "pypi", "bench-*", "--org", "bench", "--public"}); err != nil {
		return err
	}
	say("  publishing %d wheels", wheelVersions*wheelsEach)
	began := time.Now()
	if err := publishWheels(ctx, ours); err != nil {
		return err
	}
	perFile := time.Since(began).Seconds() * 1000 / (wheelVersions * wheelsEach)
	b.report.add(judge(fmt.Sprintf("PyPI upload of a wheel, %d at a time", pypiUploads), "ms", target{}, []float64{perFile}, nil))
	return b.pypiReads(ctx, ours)
}

func publishWheels(ctx context.Context, s *server) error {
	for v := range wheelVersions {
		g, gctx := errgroup.WithContext(ctx)
		g.SetLimit(pypiUploads)
		for n := range wheelsEach {
			d := pypitest.Dist{Name: "bench-large", Version: fmt.Sprintf("1.%d", v), Tags: fmt.Sprintf("cp3%d-cp3%d-platform_%d_x86_64", n%10, n%10, n), RequiresPython: ">=3.8"}
			g.Go(func() error { return s.uploadWheel(gctx, d) })
		}
		if err := g.Wait(); err != nil {
			return err
		}
	}
	return nil
}

func (s *server) uploadWheel(ctx context.Context, d pypitest.Dist) error {
	contentType, body := d.Form(d.WheelFile(), d.WheelBytes(), nil)
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, s.url+"/pypi/legacy/", bytes.NewReader(body))
	if err != nil {
		return err
	}
	r.Header.Set("Content-Type", contentType)
	r.SetBasicAuth("__token__", s.token)
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	if text, err := io.ReadAll(answer.Body); err != nil || answer.StatusCode != http.StatusOK {
		return fmt.Errorf("upload %s: %s %s: %w", d.WheelFile(), answer.Status, text, err)
	}
	return nil
}

// pypiReads measures the index as pip asks for it: anew, and whether what it has still holds.
func (b *bench) pypiReads(ctx context.Context, s *server) error {
	address := s.url + "/pypi/simple/bench-large/"
	headers := []string{"Accept: application/vnd.pypi.simple.v1+json, application/vnd.pypi.simple.v1+html; q=0.1", "Accept-Encoding: gzip"}
	tag, size, err := indexOf(ctx, address)
	if err != nil {
		return err
	}
	for _, c := range []struct {
		name    string
		headers []string
		target  target
	}{
		{"PyPI index of 5,000 files, revalidated", append(headers, "If-None-Match: "+tag), target{atLeast: 5000}},
		{fmt.Sprintf("PyPI index of 5,000 files, %d KB packed", size>>10), headers, target{atLeast: 5000}},
	} {
		rates, _, err := b.inTurn(ctx, func(ctx context.Context, _ int) (float64, error) {
			r, err := load{32, 5 * time.Second, c.headers}.run(ctx, address)
			return r.perSecond, err
		}, nil)
		if err != nil {
			return err
		}
		b.report.add(judge(c.name, "req/s", c.target, rates, nil))
	}
	memory, err := s.memory("VmRSS")
	if err == nil {
		b.report.add(judge("resident memory after it", "MB", target{atMost: 200}, []float64{memory}, nil))
	}
	return err
}

// indexOf returns the entity tag and the size of the packed index.
func indexOf(ctx context.Context, address string) (tag string, size int64, err error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return "", 0, err
	}
	r.Header.Set("Accept", "application/vnd.pypi.simple.v1+json")
	r.Header.Set("Accept-Encoding", "gzip")
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		return "", 0, err
	}
	defer answer.Body.Close()
	size, err = io.Copy(io.Discard, answer.Body)
	return answer.Header.Get("Etag"), size, err
}
