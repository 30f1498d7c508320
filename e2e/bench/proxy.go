package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// npmProxied measures the same reads through a second Hullmark that has the first one as its upstream, with the
// cooldown on, and what the first fetch of a file costs there. The upstream says that everything was published
// long ago.
func (b *bench) npmProxied(ctx context.Context, origin, peer *server) error {
	upstream, err := newAged(origin)
	if err != nil {
		return err
	}
	defer upstream.Close()
	front, err := b.startEmpty(ctx, "front", "--upstream", "npm="+upstream.URL+"/", "--cooldown", "72h")
	if err != nil {
		return err
	}
	defer front.stop()
	for _, path := range []string{smallPackage + "/-/small-1.0.0.tgz", escape(largePackage)} { // from here on they are kept
		if _, err := front.get(ctx, path); err != nil {
			return err
		}
	}
	if err := b.npmReads(ctx, ", through the proxy", front, peer); err != nil {
		return err
	}
	for _, c := range []struct {
		name     string
		distance time.Duration
	}{
		{"first fetch of a 62 KB tarball, upstream on loopback", 0},
		{"first fetch of a 62 KB tarball, upstream 40 ms away", 40 * time.Millisecond},
	} {
		if err := b.npmCold(ctx, c.name, c.distance, origin, upstream, front); err != nil {
			return err
		}
	}
	held, err := front.memory("VmHWM")
	if err != nil {
		return err
	}
	b.report.add(judge("resident memory, most in front of an upstream", "MB", target{atMost: 200}, []float64{held}, nil))
	return nil
}

// npmCold compares the first fetch of a file through the proxy with a fetch from the upstream itself.
func (b *bench) npmCold(ctx context.Context, title string, distance time.Duration, origin *server, upstream *aged, front *server) error {
	const perRound = 10
	upstream.distance = distance
	defer func() { upstream.distance = 0 }()
	name := func(round int) string { return fmt.Sprintf("@bench/cold-%d-%d", distance.Milliseconds(), round) }
	for round := range b.rounds {
		for i := range perRound {
			if _, err := origin.publish(ctx, release{name: name(round), version: fmt.Sprintf("1.0.%d", i), bulk: 380, tarball: 58_600}); err != nil {
				return err
			}
		}
	}
	direct := &server{npm: upstream.URL + "/"}
	p50 := func(s *server, cold bool) func(context.Context, int) (float64, error) {
		return func(ctx context.Context, round int) (float64, error) {
			pkg := name(round)
			if cold {
				if _, err := s.get(ctx, escape(pkg)); err != nil { // clients have the packument by then
					return 0, err
				}
			}
			var took []float64
			for i := range perRound {
				began := time.Now()
				if _, err := s.get(ctx, fmt.Sprintf("%s/-/%s-1.0.%d.tgz", pkg, strings.TrimPrefix(pkg, "@bench/"), i)); err != nil {
					return 0, err
				}
				took = append(took, float64(time.Since(began).Microseconds())/1000)
			}
			return median(took), nil
		}
	}
	our, their, err := b.inTurn(ctx, p50(front, true), p50(direct, false))
	if err != nil {
		return err
	}
	b.report.add(judge(title, "ms", target{ratio: 1 / 1.2, less: true}, our, their))
	return nil
}

// aged is a registry in front of another one that says that everything there is old.
type aged struct {
	*httptest.Server
	distance time.Duration // how long each answer is under way
}

var stamps = regexp.MustCompile(`"20\d\d-\d\d-\d\dT[0-9:.]+Z"`)

func newAged(origin *server) (*aged, error) {
	base, err := url.Parse(strings.TrimSuffix(origin.npm, "/"))
	if err != nil {
		return nil, err
	}
	a := &aged{}
	forward := &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(base)
			r.Out.Header.Del("Accept-Encoding")
		},
		ModifyResponse: func(resp *http.Response) error {
			if !strings.Contains(resp.Header.Get("Content-Type"), "json") || resp.StatusCode != http.StatusOK {
				return nil
			}
			body, err := io.ReadAll(resp.Body)
			if err != nil {
				return err
			}
			body = bytes.ReplaceAll(stamps.ReplaceAll(body, []byte(`"2026-01-01T00:00:00.000Z"`)), []byte(origin.npm), []byte(a.URL+"/"))
			resp.Body, resp.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
			resp.Header.Set("Content-Length", strconv.Itoa(len(body)))
			return nil
		},
	}
	a.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		time.Sleep(a.distance)
		forward.ServeHTTP(w, r)
	}))
	return a, nil
}
