package alert

import (
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hullmark/hullmark/internal/clock"
	"github.com/hullmark/hullmark/internal/digest"
	"github.com/hullmark/hullmark/internal/evidence"
	"github.com/hullmark/hullmark/internal/fault"
)

var noon = time.Date(2026, 11, 26, 12, 0, 0, 0, time.UTC)

func sample() Alert {
	return Alert{
		ID: "1", Code: RecalledContent, Time: noon, Action: "open", Level: "kill", Done: Killed,
		Container: Container{ID: strings.Repeat("ab", 32), Name: "web", Pod: "shop-7d", Reference: "acme/shop:1", WorkloadRef: evidence.WorkloadRef{Namespace: "store"}},
		Process:   Process{Comm: "node"},
		File:      File{Path: "/app/node_modules/@acme/ui-kit/bundle.js", Origin: "layer", DiffID: digest.FromBytes([]byte("x"))},
	}
}

func TestSentences(t *testing.T) {
	t.Parallel()
	kit := &Release{PURL: "pkg:npm/%40acme/ui-kit@4.2.1", Credential: "token:tok_7", Label: "ci-7", Published: noon.Add(-57 * time.Minute)}
	tests := map[string]struct {
		change func(*Alert)
		want   string
	}{
		"the whole story": {func(a *Alert) { a.Release = kit; a.Exception = 12 },
			"`node` (pod store/shop-7d, image acme/shop:1) opened `…/bundle.js` of `@acme/ui-kit 4.2.1`, published 11:03 by token `ci-7`, not approved, admitted under exception #12; the process was killed (level kill)"},
		"on another day, approved": {func(a *Alert) {
			a.Release = &Release{PURL: kit.PURL, Publisher: "carol", Published: noon.AddDate(0, 0, -2), Approved: true, Approver: "dave"}
		}, "`node` (pod store/shop-7d, image acme/shop:1) opened `…/bundle.js` of `@acme/ui-kit 4.2.1`, published 2026-11-24 12:00 by carol, approved by dave; the process was killed (level kill)"},
		"no record of the layer": {func(a *Alert) {},
			"`node` (pod store/shop-7d, image acme/shop:1) opened `…/bundle.js` of layer 2d711642b726; the process was killed (level kill)"},
		"memory": {func(a *Alert) { a.Action = "exec"; a.File = File{Origin: "memory"} },
			"`node` (pod store/shop-7d, image acme/shop:1) executed a program that exists only in memory; the process was killed (level kill)"},
		"drift, without a pod": {func(a *Alert) {
			a.Action, a.Done, a.Level = "exec", Denied, "deny-fanotify"
			a.Container.Pod = ""
			a.File = File{Path: "/tmp/x", Origin: "container"}
		}, "`node` (container web, image acme/shop:1) executed `/tmp/x`, which is in no layer of the image: it was written in the container; the call was denied (level deny-fanotify)"},
		"a name that would drive a terminal": {func(a *Alert) { a.Process.Comm = "a\x1b[2J`b"; a.File = File{Path: "/x\u202e", Origin: "host"} },
			"`a\uFFFD[2J\uFFFDb` (pod store/shop-7d, image acme/shop:1) opened `/x\uFFFD`, which is not of the image; the process was killed (level kill)"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := sample()
			test.change(&a)
			if got := a.Compose(); got != test.want {
				t.Errorf("got\n%s\nwant\n%s", got, test.want)
			}
		})
	}
}

func TestABookStaysBoundedAndAClockThatIsSetBackMakesNothingNew(t *testing.T) {
	t.Parallel()
	b := NewBook()
	a := sample()
	if !b.Raise(&a, noon) || b.Raise(&a, noon.Add(-time.Hour)) {
		t.Error("an equal alert before the first was told again")
	}
	for i := range 2 * maxOpen {
		other := sample()
		other.File.Path = strings.Repeat("x", i%50) + string(rune('a'+i%26)) + time.Duration(i).String()
		b.Raise(&other, noon)
	}
	if len(b.open) > maxOpen {
		t.Errorf("%d are open", len(b.open))
	}
	got := b.Repeats(noon.Add(time.Hour), false)
	if !slices.ContainsFunc(got, func(r Alert) bool { return r.File.Path == a.File.Path && r.Count == 1 }) {
		t.Errorf("the repeat is not told: %d repeats", len(got))
	}
	b.Repeats(noon.Add(2*time.Hour), false)
	if len(b.open) != 0 || !b.Raise(&a, noon.Add(3*time.Hour)) {
		t.Error("what is over is not forgotten")
	}
}

// receiver is a webhook's other end.
type receiver struct {
	*httptest.Server
	got chan Alert
}

func receive(t *testing.T, answers ...int) receiver {
	t.Helper()
	r := receiver{got: make(chan Alert, 10_000)}
	n := 0
	r.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		body, _ := io.ReadAll(req.Body)
		if n < len(answers) {
			n++
			w.WriteHeader(answers[n-1])
			return
		}
		if got := req.Header.Get(SignatureHeader); got != Sign([]byte("secret"), req.Header.Get(TimestampHeader), body) {
			t.Errorf("signature %q", got)
		}
		var a Alert
		if err := json.Unmarshal(body, &a); err != nil {
			t.Error(err)
		}
		r.got <- a
	}))
	t.Cleanup(r.Close)
	return r
}

func hook(t *testing.T, r receiver) *Webhook {
	t.Helper()
	w, err := NewWebhook(r.URL, []byte("secret"), clock.System{}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); w.Run(ctx) }()
	t.Cleanup(func() { cancel(); <-done })
	return w
}

func TestAWebhookTriesAgainUntilItIsTaken(t *testing.T) {
	t.Parallel()
	r := receive(t, 503, 429, 500)
	w := hook(t, r)
	a := sample()
	w.Send(a)
	if got := <-r.got; got.ID != "1" || got.File != a.File {
		t.Errorf("got %+v", got)
	}
}

func TestAnAlertThatIsRefusedForGoodKeepsNoOther(t *testing.T) {
	t.Parallel()
	r := receive(t, 400)
	w := hook(t, r)
	a, b := sample(), sample()
	b.ID = "2"
	w.Send(a)
	w.Send(b)
	if got := <-r.got; got.ID != "2" {
		t.Errorf("got %+v", got)
	}
}

func TestAFullWebhookNeverBlocksAndCounts(t *testing.T) {
	t.Parallel()
	w, err := NewWebhook("http://127.0.0.1:1/", nil, clock.System{}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	for range webhookQueue + 7 {
		w.Send(sample())
	}
	if got := w.missed.Load(); got != 7 {
		t.Errorf("%d are counted as missed, want 7", got)
	}
}

func TestAWebhooksAddressIsChecked(t *testing.T) {
	t.Parallel()
	for _, address := range []string{"", "example.com", "ftp://example.com", "http://", "http://a b"} {
		if _, err := NewWebhook(address, nil, clock.System{}, slog.New(slog.DiscardHandler)); fault.As(err).Code != "webhook-invalid" {
			t.Errorf("%q: %v", address, err)
		}
	}
}
