package upstream_test

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"sync"
	"testing"

	"github.com/hullmark/hullmark/internal/account/accounttest"
	"github.com/hullmark/hullmark/internal/purl"
	"github.com/hullmark/hullmark/internal/registry"
	"github.com/hullmark/hullmark/internal/registry/upstream"
)

// large is a file that is streamed while it arrives.
func large() []byte { return bytes.Repeat([]byte("0123456789abcdef"), 200<<10) }

func TestAFileIsFetchedOnceKeptAndRecorded(t *testing.T) {
	t.Parallel()
	for name, content := range map[string][]byte{"small": []byte("tarball"), "large": large()} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := newOrigin(t, func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Length", strconv.Itoa(len(content)))
				w.Write(content)
			})
			w := newWorld(t, sourceOf(o))
			for range 2 {
				resp, got, err := w.get(wanted(o, "left-pad", content))
				accounttest.Check(t, err)
				if resp.StatusCode != 200 || !bytes.Equal(got, content) || resp.ContentLength != int64(len(content)) {
					t.Fatalf("status %d, %d bytes of %d announced", resp.StatusCode, len(got), resp.ContentLength)
				}
			}
			if o.asked() != 1 {
				t.Errorf("asked %d times, want 1", o.asked())
			}
			kept, err := w.core.Kept(t.Context(), purl.NPM, "left-pad", "1.0.0", "")
			accounttest.Check(t, err)
			if kept.Size != int64(len(content)) || kept.Origin == "" {
				t.Errorf("on the record: %+v", kept)
			}
			o.Close() // from here on it is ours
			resp, got, err := w.get(wanted(o, "left-pad", content), "Range", "bytes=2-4")
			accounttest.Check(t, err)
			if resp.StatusCode != http.StatusPartialContent || !bytes.Equal(got, content[2:5]) {
				t.Errorf("a range: status %d, %q", resp.StatusCode, got)
			}
		})
	}
}

func TestThoseWhoWaitReadWhatIsThere(t *testing.T) {
	t.Parallel()
	content := large()
	half := make(chan struct{})
	o := newOrigin(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", strconv.Itoa(len(content)))
		w.Write(content[:len(content)/2])
		w.(http.Flusher).Flush()
		<-half
		w.Write(content[len(content)/2:])
	})
	w := newWorld(t, sourceOf(o))
	server := httptest.NewServer(w.handler(wanted(o, "left-pad", content)))
	defer server.Close()
	var all, reading sync.WaitGroup
	for range 8 {
		reading.Add(1)
		all.Go(func() {
			resp, err := http.Get(server.URL)
			if err != nil {
				t.Error(err)
				reading.Done()
				return
			}
			defer resp.Body.Close()
			begin := make([]byte, len(content)/4)
			if _, err := io.ReadFull(resp.Body, begin); err != nil {
				t.Errorf("the first quarter did not come before the rest was sent: %v", err)
			}
			reading.Done()
			rest, err := io.ReadAll(resp.Body)
			if err != nil || !bytes.Equal(append(begin, rest...), content) {
				t.Errorf("%d bytes, error %v", len(begin)+len(rest), err)
			}
		})
	}
	reading.Wait()
	close(half)
	all.Wait()
	if o.asked() != 1 {
		t.Errorf("asked %d times, want 1", o.asked())
	}
}

func TestAnotherFileThanWasListedIsNeverWhole(t *testing.T) {
	t.Parallel()
	small, big := []byte("tarball"), large()
	for name, c := range map[string]struct{ listed, sent []byte }{
		"small": {small, []byte("tarbell")}, "large": {big, append(bytes.Clone(big[:len(big)-1]), 'X')},
		"longer": {small, []byte("tarball and more")}, "cut off": {big, big[:len(big)-1]},
	} {
		for _, announced := range []bool{true, false} {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				o := newOrigin(t, func(w http.ResponseWriter, _ *http.Request) {
					if announced {
						w.Header().Set("Content-Length", strconv.Itoa(len(c.sent)))
					} else {
						w.(http.Flusher).Flush()
					}
					w.Write(c.sent)
				})
				w := newWorld(t, sourceOf(o))
				resp, got, err := w.get(wanted(o, "left-pad", c.listed))
				if err == nil && (resp.StatusCode != http.StatusUnprocessableEntity || string(got) != "upstream-changed\n") {
					t.Errorf("status %d with %d bytes, and the client took it for whole", resp.StatusCode, len(got))
				}
				_, err = w.core.Kept(t.Context(), purl.NPM, "left-pad", "1.0.0", "")
				wantCode(t, err, "version-unknown")
			})
		}
	}
}

func TestAFileWhoseListingChangedIsRefused(t *testing.T) {
	t.Parallel()
	o := newOrigin(t, text("tarball"))
	w := newWorld(t, sourceOf(o))
	_, _, err := w.get(wanted(o, "left-pad", []byte("tarball")))
	accounttest.Check(t, err)
	o.set(text("trojan!"))
	resp, got, err := w.get(wanted(o, "left-pad", []byte("trojan!")))
	accounttest.Check(t, err)
	if resp.StatusCode != http.StatusUnprocessableEntity || string(got) != "upstream-changed\n" || o.asked() != 1 {
		t.Errorf("status %d %q, asked %d times", resp.StatusCode, got, o.asked())
	}
}

func TestAFileAtAHostThatNobodyNamedIsNotFetched(t *testing.T) {
	t.Parallel()
	o, inner := newOrigin(t, text("tarball")), newOrigin(t, text("metadata service"))
	w := newWorld(t, sourceOf(o))
	want := wanted(o, "left-pad", []byte("metadata service"))
	want.URL = inner.URL + "/latest/meta-data"
	resp, _, err := w.get(want)
	accounttest.Check(t, err)
	if resp.StatusCode != http.StatusServiceUnavailable || inner.asked() != 0 {
		t.Errorf("status %d, asked %d times", resp.StatusCode, inner.asked())
	}
}

func TestWhatWasRecalledIsNotFetched(t *testing.T) {
	t.Parallel()
	o := newOrigin(t, text("tarball"))
	w := newWorld(t, sourceOf(o))
	want := wanted(o, "left-pad", []byte("tarball"))
	want.Recalled = "it steals tokens"
	resp, _, err := w.get(want)
	accounttest.Check(t, err)
	if resp.StatusCode != http.StatusForbidden || o.asked() != 0 {
		t.Errorf("status %d, asked %d times", resp.StatusCode, o.asked())
	}
}

func TestAnUpstreamThatIsDownIsSaidSo(t *testing.T) {
	t.Parallel()
	o := newOrigin(t, status(http.StatusInternalServerError))
	w := newWorld(t, sourceOf(o))
	resp, got, err := w.get(wanted(o, "left-pad", []byte("tarball")))
	accounttest.Check(t, err)
	if resp.StatusCode != http.StatusServiceUnavailable || string(got) != "upstream-unavailable\n" {
		t.Errorf("status %d %q", resp.StatusCode, got)
	}
	o.set(status(http.StatusNotFound))
	resp, got, err = w.get(wanted(o, "left-pad", []byte("tarball")))
	accounttest.Check(t, err)
	if resp.StatusCode != http.StatusNotFound {
		t.Errorf("status %d %q", resp.StatusCode, got)
	}
}

func TestNoUpstreamMeansNone(t *testing.T) {
	t.Parallel()
	w := newWorld(t, upstream.Settings{})
	if up := w.For(purl.NPM); up != nil {
		t.Errorf("upstream = %v", up)
	}
	_, err := w.Document(t.Context(), registry.Question{Ecosystem: purl.NPM, Name: "x", Path: "x"})
	wantCode(t, err, "name-unknown")
}
