package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"time"
)

// gemNames is how many gems the list has; rubygems.org has about as many.
const gemNames = 200_000

// gem measures the tail of the list of all gems: what each bundle install asks for. There is no peer that
// runs here. The names come from an upstream, which is this process, and one gem is hosted.
func (b *bench) gem(ctx context.Context) error {
	upstream, stop, err := serveVersions()
	if err != nil {
		return err
	}
	defer stop()
	s, err := b.startOurs(ctx, "gem", "--upstream", "gem="+upstream)
	if err != nil {
		return err
	}
	defer s.stop()
	before, err := s.memory("VmRSS")
	if err != nil {
		return err
	}
	url := s.url + "/gems/versions"
	began := time.Now()
	size, err := sizeOf(ctx, url)
	if err != nil {
		return err
	}
	say("  a list of %d bytes was there after %.1f s", size, time.Since(began).Seconds())
	if size, err = sizeOf(ctx, url); err != nil {
		return err
	}
	tail := load{connections: 32, duration: 5 * time.Second, headers: []string{fmt.Sprintf("Range: bytes=%d-", size-200)}}
	var latency, memory []float64
	ours, _, err := b.inTurn(ctx, func(ctx context.Context, _ int) (float64, error) {
		r, err := tail.run(ctx, url)
		latency = append(latency, r.p99.Seconds()*1000)
		resident, merr := s.memory("VmRSS")
		if err == nil {
			err = merr
		}
		memory = append(memory, resident)
		return r.perSecond, err
	}, nil)
	if err != nil {
		return err
	}
	say("  resident before the list %.0f MB", before)
	b.report.add(
		judge("gems: tail of /versions, 200k names", "req/s", target{atLeast: 5000}, ours, nil),
		judge("  its 99th percentile", "ms", target{less: true}, latency, nil),
		judge("  resident memory meanwhile", "MB", target{atMost: 200, less: true}, memory, nil))
	return nil
}

// sizeOf reads a document whole and returns its length.
func sizeOf(ctx context.Context, url string) (int64, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return 0, err
	}
	r.Header.Set("Accept-Encoding", "identity")
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return 0, fmt.Errorf("GET %s: %s", url, resp.Status)
	}
	return io.Copy(io.Discard, resp.Body)
}

// serveVersions is an upstream that has a list of names and nothing else.
func serveVersions() (url string, stop func(), err error) {
	var list strings.Builder
	list.WriteString("created_at: 2026-01-01T00:00:00Z\n---\n")
	for i := range gemNames {
		fmt.Fprintf(&list, "gem-%06d 0.1.0,0.2.0,1.0.0,1.%d.0 %032x\n", i, i%100, i)
	}
	body := list.String()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", nil, err
	}
	server := &http.Server{ReadHeaderTimeout: time.Minute, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if filepath.Base(r.URL.Path) != "versions" {
			http.NotFound(w, r)
			return
		}
		w.Header().Set("Etag", `"1"`)
		http.ServeContent(w, r, "", time.Time{}, strings.NewReader(body))
	})}
	go server.Serve(listener)
	return "http://" + listener.Addr().String(), func() { server.Close() }, nil
}
