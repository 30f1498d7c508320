package upstream_test

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hullmark/hullmark/internal/account/accounttest"
	"github.com/hullmark/hullmark/internal/purl"
	"github.com/hullmark/hullmark/internal/registry"
	"github.com/hullmark/hullmark/internal/registry/upstream"
)

func TestADocumentIsServedFromTheStoreWhileItIsFreshAndThenRevalidated(t *testing.T) {
	t.Parallel()
	o := newOrigin(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Etag", `"one"`)
		if r.Header.Get("If-None-Match") == `"one"` {
			w.WriteHeader(http.StatusNotModified)
			return
		}
		w.Write([]byte("first"))
	})
	w := newWorld(t, sourceOf(o))
	for range 3 {
		d, err := w.ask("left-pad")
		accounttest.Check(t, err)
		if string(d.Body) != "first" || d.Stale {
			t.Errorf("document = %q, stale %v", d.Body, d.Stale)
		}
	}
	if o.asked() != 1 {
		t.Errorf("asked %d times, want 1", o.asked())
	}
	w.Pass(time.Hour)
	d, err := w.ask("left-pad")
	accounttest.Check(t, err)
	if o.asked() != 2 || string(d.Body) != "first" || !d.Asked.Equal(w.Now()) {
		t.Errorf("after the revalidation: asked %d times, %q of %s", o.asked(), d.Body, d.Asked)
	}
	o.set(text("second"))
	w.Pass(time.Hour)
	d, err = w.ask("left-pad")
	accounttest.Check(t, err)
	if string(d.Body) != "second" {
		t.Errorf("document = %q, want the new one", d.Body)
	}
}

func TestAnOlderDocumentIsServedWithItsAgeWhenTheUpstreamFails(t *testing.T) {
	t.Parallel()
	o := newOrigin(t, text("kept"))
	w := newWorld(t, sourceOf(o))
	first, err := w.ask("left-pad")
	accounttest.Check(t, err)
	o.set(status(http.StatusBadGateway))
	w.Pass(30 * time.Hour)
	for range 2 {
		d, err := w.ask("left-pad")
		accounttest.Check(t, err)
		if !d.Stale || string(d.Body) != "kept" || !d.Asked.Equal(first.Asked) {
			t.Errorf("document = %q, stale %v, of %s", d.Body, d.Stale, d.Asked)
		}
	}
	if o.asked() != 2 {
		t.Errorf("an upstream that fails was asked %d times, want 2", o.asked())
	}
	w.Client = w.again() // a restart keeps it
	o.Close()
	w.Pass(time.Hour)
	d, err := w.ask("left-pad")
	accounttest.Check(t, err)
	if !d.Stale || string(d.Body) != "kept" {
		t.Errorf("after a restart: %q, stale %v", d.Body, d.Stale)
	}
	_, err = w.ask("never-seen")
	wantCode(t, err, "upstream-unavailable")
}

func TestASlowUpstreamKeepsNobodyWaitingWhoHasAnOlderDocument(t *testing.T) {
	t.Parallel()
	o := newOrigin(t, text("kept"))
	s := sourceOf(o)
	s.Patience = upstream.Duration(10 * time.Millisecond)
	w := newWorld(t, s)
	_, err := w.ask("left-pad")
	accounttest.Check(t, err)
	release := make(chan struct{})
	defer close(release)
	o.set(func(http.ResponseWriter, *http.Request) { <-release })
	w.Pass(time.Hour)
	d, err := w.ask("left-pad")
	accounttest.Check(t, err)
	if !d.Stale || string(d.Body) != "kept" {
		t.Errorf("document = %q, stale %v", d.Body, d.Stale)
	}
}

func TestThatANameIsMissingHoldsForAWhile(t *testing.T) {
	t.Parallel()
	o := newOrigin(t, status(http.StatusNotFound))
	w := newWorld(t, sourceOf(o))
	for range 3 {
		_, err := w.ask("nobody")
		wantCode(t, err, "name-unknown")
	}
	if o.asked() != 1 {
		t.Errorf("asked %d times, want 1", o.asked())
	}
	o.set(text("here now"))
	w.Pass(2 * time.Minute)
	_, err := w.ask("nobody")
	accounttest.Check(t, err)
}

func TestADocumentIsFetchedOnceHoweverManyWait(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	o := newOrigin(t, func(w http.ResponseWriter, _ *http.Request) {
		<-release
		w.Write([]byte("body"))
	})
	w := newWorld(t, sourceOf(o))
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() {
			if d, err := w.ask("left-pad"); err != nil || string(d.Body) != "body" {
				t.Errorf("document %v, error %v", d, err)
			}
		})
	}
	close(release)
	wg.Wait()
	if o.asked() != 1 {
		t.Errorf("asked %d times, want 1", o.asked())
	}
}

func TestAnOwnedNameIsNeverAskedFor(t *testing.T) {
	t.Parallel()
	o := newOrigin(t, text("evil"))
	w := newWorld(t, sourceOf(o))
	_, err := w.ask("@acme/ui")
	wantCode(t, err, "name-unknown")
	resp, _, err := w.get(wanted(o, "@acme/ui", []byte("evil")))
	accounttest.Check(t, err)
	if resp.StatusCode != http.StatusNotFound || o.asked() != 0 {
		t.Errorf("status %d, and the upstream was asked for %q", resp.StatusCode, o.paths)
	}
}

func TestADocumentThatIsTooLargeIsRefused(t *testing.T) {
	t.Parallel()
	o := newOrigin(t, text(strings.Repeat("x", 2<<20)))
	w := newWorld(t, sourceOf(o))
	_, err := w.ask("huge")
	wantCode(t, err, "upstream-too-large")
}

func TestAPathThatClimbsIsNotAsked(t *testing.T) {
	t.Parallel()
	o := newOrigin(t, text("secret"))
	w := newWorld(t, sourceOf(o))
	for _, path := range []string{"../admin", "a/../../admin", "%2e%2e/admin", "a/%2e%2e/b"} {
		_, err := w.Document(t.Context(), registry.Question{Ecosystem: purl.NPM, Name: "x", Path: path})
		wantCode(t, err, "name-unknown")
	}
	if o.asked() != 0 {
		t.Errorf("asked for %q", o.paths)
	}
}

func TestOfSeveralUpstreamsTheFirstThatKnowsANameAnswers(t *testing.T) {
	t.Parallel()
	first, second := newOrigin(t, status(http.StatusNotFound)), newOrigin(t, text("second"))
	s := upstream.Settings{Sources: []upstream.Source{{Ecosystem: purl.NPM, URL: first.URL}, {Ecosystem: purl.NPM, URL: second.URL}}}
	w := newWorld(t, s)
	d, err := w.ask("left-pad")
	accounttest.Check(t, err)
	if string(d.Body) != "second" {
		t.Errorf("document = %q", d.Body)
	}
	first.set(status(http.StatusInternalServerError))
	_, err = w.ask("right-pad")
	wantCode(t, err, "upstream-unavailable")
	if second.asked() != 1 {
		t.Error("an upstream that was down moved a name to the next one")
	}
}

func TestACredentialGoesToItsUpstreamOnly(t *testing.T) {
	t.Parallel()
	other := newOrigin(t, text("moved here"))
	o := newOrigin(t, func(w http.ResponseWriter, r *http.Request) {
		if _, password, _ := r.BasicAuth(); password != "secret" {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		http.Redirect(w, r, other.URL+"/elsewhere", http.StatusFound)
	})
	file := filepath.Join(t.TempDir(), "credential")
	accounttest.Check(t, os.WriteFile(file, []byte("robot:secret\n"), 0o600))
	s := sourceOf(o)
	s.Sources[0].Credential = file
	_, err := newWorld(t, s).ask("left-pad")
	wantCode(t, err, "upstream-unavailable")
	if other.asked() != 0 {
		t.Error("a redirect to a host that nobody named was followed")
	}
	s.Sources[0].Hosts = []string{strings.TrimPrefix(other.URL, "http://")}
	d, err := newWorld(t, s).ask("left-pad")
	accounttest.Check(t, err)
	if string(d.Body) != "moved here" || other.seen[0].Get("Authorization") != "" {
		t.Errorf("document = %q, credential sent elsewhere: %q", d.Body, other.seen[0].Get("Authorization"))
	}
}

func TestAnUpstreamThatCannotWorkIsRefused(t *testing.T) {
	t.Parallel()
	for _, value := range []string{"npm", "cargo=https://x.example", "npm=ftp://x.example", "npm=https://", "npm=https://u:p@x.example", "npm=https://x.example/?q"} {
		_, err := upstream.ParseSource(value)
		wantCode(t, err, "upstream-invalid")
	}
	_, err := upstream.ParseSource("npm=http://127.0.0.1:4873/npm/")
	accounttest.Check(t, err)
	for _, content := range []string{"upstreamz: []", "fresh: soon", "upstreams: [{ecosystem: npm, url: nowhere}]"} {
		file := filepath.Join(t.TempDir(), "upstreams.yaml")
		accounttest.Check(t, os.WriteFile(file, []byte(content), 0o600))
		_, err := upstream.Load(file)
		wantCode(t, err, "upstream-invalid")
	}
	file := filepath.Join(t.TempDir(), "upstreams.yaml")
	accounttest.Check(t, os.WriteFile(file, []byte("fresh: 90s\nupstreams:\n- ecosystem: npm\n  url: https://registry.npmjs.org\n  hosts: [files.example.org]\n"), 0o600))
	s, err := upstream.Load(file)
	accounttest.Check(t, err)
	if s.Fresh != upstream.Duration(90*time.Second) || len(s.Sources) != 1 {
		t.Errorf("settings = %+v", s)
	}
}
