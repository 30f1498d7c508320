package uplink_test

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/hullmark/hullmark/internal/clock"
	"github.com/hullmark/hullmark/internal/digest"
	"github.com/hullmark/hullmark/internal/evidence"
	"github.com/hullmark/hullmark/internal/fault"
	"github.com/hullmark/hullmark/internal/fleet/fleetv1"
	"github.com/hullmark/hullmark/internal/sensor/layer"
	"github.com/hullmark/hullmark/internal/sensor/uplink"
	"github.com/hullmark/hullmark/internal/sensor/uplink/uplinktest"
)

// orders keeps what the server said.
type orders struct {
	server  *uplinktest.Server // is poked with every order; nil: nobody waits
	mu      sync.Mutex
	recalls [][]*fleetv1.Recall
}

func (o *orders) Recalls(list []*fleetv1.Recall) {
	o.mu.Lock()
	o.recalls = append(o.recalls, list)
	o.mu.Unlock()
	if o.server != nil {
		o.server.Poke()
	}
}

func (o *orders) Exceptions([]byte) {}

// said returns the reasons of the recalls in force as the server said them last, and how often it said.
func (o *orders) said() (reasons string, times int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.recalls) == 0 {
		return "", 0
	}
	for _, r := range o.recalls[len(o.recalls)-1] {
		reasons += r.Reason
	}
	return reasons, len(o.recalls)
}

// line is a line with its own state folder, and a way to end it.
func line(t *testing.T, s *uplinktest.Server, state string, h uplink.Handler) (*uplink.Line, func()) {
	t.Helper()
	var mu sync.Mutex
	n := 0
	l, err := uplink.New(uplink.Config{
		Server: s.URL(), Token: uplinktest.Token, State: state, Clock: clock.System{}, Logger: slog.New(slog.DiscardHandler),
		Unique: func() string { mu.Lock(); defer mu.Unlock(); n++; return fmt.Sprintf("%s-%d", filepath.Base(state), n) },
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- l.Run(ctx, h) }()
	end := sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(end)
	return l, end
}

func gap(reason string) evidence.Draft {
	return evidence.Draft{Subjects: []evidence.Subject{{Name: "node:x"}}, Predicate: evidence.Gap{What: "w", Reason: reason}}
}

func reasons(s *uplinktest.Server) string {
	var out []string
	for _, g := range uplinktest.Drafts[evidence.Gap](s) {
		out = append(out, g.Reason)
	}
	return strings.Join(out, " ")
}

func TestAReportIsOnTheRecordOnceAlsoWhenTheAnswerIsLost(t *testing.T) {
	t.Parallel()
	s := uplinktest.New(t)
	s.FailAfterTaking(2)
	l, _ := line(t, s, t.TempDir(), &orders{})
	l.Urgent(gap("a"))
	s.Await("the report", func() bool { return reasons(s) == "a" })
	l.Urgent(gap("b"))
	s.Await("the second report", func() bool { return reasons(s) == "a b" })
}

func TestWhatIsReportedWhileTheServerIsAwayArrivesWhenItIsBackAlsoAfterARestart(t *testing.T) {
	t.Parallel()
	s := uplinktest.New(t)
	state := t.TempDir()
	s.Stop()
	l, end := line(t, s, state, &orders{})
	l.Urgent(gap("a"))
	l.Aggregate(gap("b"))
	end() // the agent ends while the server is away
	_, _ = line(t, s, state, &orders{})
	s.Start()
	s.Await("both reports", func() bool { return reasons(s) == "a b" })
}

func TestRecallsStayInForceWhileTheServerIsAway(t *testing.T) {
	t.Parallel()
	s := uplinktest.New(t)
	state := t.TempDir()
	s.SetRecalls(&fleetv1.Recall{Seq: 3, Reason: "worm"})
	told := &orders{server: s}
	_, end := line(t, s, state, told)
	// It is kept before the next order is taken: the second is that all has been said.
	s.Await("the recall", func() bool { reasons, times := told.said(); return reasons == "worm" && times >= 2 })
	end()
	s.Stop()
	again := &orders{server: s}
	_, _ = line(t, s, state, again)
	s.Await("the recall without the server", func() bool { reasons, _ := again.said(); return reasons == "worm" })
	s.Start()
	s.SetRecalls()
	s.Await("the lifting", func() bool { reasons, times := again.said(); return reasons == "" && times >= 2 })
}

func TestAStatementThatTheServerRefusesKeepsNoOtherFromTheRecord(t *testing.T) {
	t.Parallel()
	s := uplinktest.New(t)
	s.Refuse(func(d *fleetv1.Draft) bool { return strings.Contains(string(d.Predicate), "bad") })
	l, _ := line(t, s, t.TempDir(), &orders{})
	for _, reason := range []string{"a", "bad", "b"} {
		l.Urgent(gap(reason))
	}
	l.Urgent(gap("c"))
	s.Await("the others", func() bool {
		got := reasons(s)
		return strings.Contains(got, "a") && strings.Contains(got, "b") && strings.Contains(got, "c") && !strings.Contains(got, "bad")
	})
}

func TestNamesThatAreNoTextAreMadeText(t *testing.T) {
	t.Parallel()
	s := uplinktest.New(t)
	l, _ := line(t, s, t.TempDir(), &orders{})
	d := gap("a")
	d.Subjects[0].Name = "bad\x1b[31m\xff" + strings.Repeat("x", 5000)
	l.Urgent(d)
	s.Await("the report", func() bool { return reasons(s) == "a" })
}

func TestAnImageComesWithItsFilesAndReleases(t *testing.T) {
	t.Parallel()
	s := uplinktest.New(t)
	low := digest.FromBytes([]byte("low"))
	sum := make([]byte, 32)
	s.SetImage(string(low), &fleetv1.ImageResponse{Part: &fleetv1.ImageResponse_Image{Image: &fleetv1.Image{
		Digest: string(low), DiffIds: []string{string(low)}, Components: []*fleetv1.Component{{Purl: "pkg:npm/x@1", Publisher: "ci"}},
	}}}, &fleetv1.ImageResponse{Part: &fleetv1.ImageResponse_Files{Files: &fleetv1.LayerFiles{DiffId: string(low), Files: []*fleetv1.LayerFile{
		{Path: "a.js", Sha256: sum, Component: 0}, {Path: "b.js", Sha256: sum, Component: -1}, {Path: "folder", Component: -1}, {Path: "c.js", Sha256: sum, Component: 77},
	}}}})
	l, _ := line(t, s, t.TempDir(), &orders{})
	img, indexes, err := layer.NewStore(t.TempDir(), l, slog.New(slog.DiscardHandler)).Image(t.Context(), low, nil)
	if err != nil {
		t.Fatal(err)
	}
	f, ok := indexes[0].Lookup("/a.js")
	if !ok || f.Component != "pkg:npm/x@1" || indexes[0].Len() != 3 || img.Releases["pkg:npm/x@1"].Publisher != "ci" {
		t.Errorf("got %+v, %v of %d files, %+v", f, ok, indexes[0].Len(), img)
	}
	if _, _, err := layer.NewStore(t.TempDir(), l, slog.New(slog.DiscardHandler)).Image(t.Context(), digest.FromBytes([]byte("other")), nil); fault.KindOf(err) != fault.NotFound {
		t.Errorf("an image that is not on the record: %v", err)
	}
}

func TestATokenDoesNotTravelInClearAndIsNeeded(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ server, token, file, code string }{
		{"http://hullmark.example.com", "t", "", "server-address-insecure"},
		{"hullmark.example.com", "t", "", "server-address-invalid"},
		{"https://hullmark.example.com", "", "/does/not/exist", "agent-token-missing"},
		{"https://hullmark.example.com", "", "/dev/null", "agent-token-missing"},
	} {
		_, err := uplink.New(uplink.Config{Server: test.server, Token: test.token, TokenFile: test.file, State: t.TempDir()})
		if fault.As(err).Code != test.code {
			t.Errorf("%+v: %v", test, err)
		}
	}
}

func TestATokenIsReadAnewForEveryRequest(t *testing.T) {
	t.Parallel()
	s := uplinktest.New(t)
	file := filepath.Join(t.TempDir(), "token")
	write := func(token string) {
		if err := os.WriteFile(file, []byte(token+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("wrong")
	l, err := uplink.New(uplink.Config{
		Server: s.URL(), TokenFile: file, State: t.TempDir(), Clock: clock.System{}, Logger: slog.New(slog.DiscardHandler), Unique: func() string { return "x" },
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Ping(t.Context()); err == nil || strings.Contains(err.Error(), "wrong") {
		t.Errorf("a wrong token: %v", err)
	}
	write(uplinktest.Token)
	if err := l.Ping(t.Context()); err != nil {
		t.Error(err)
	}
}
