package fleet_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"testing"
	"time"

	"connectrpc.com/connect"

	"github.com/hullmark/hullmark/internal/account"
	"github.com/hullmark/hullmark/internal/app"
	"github.com/hullmark/hullmark/internal/digest"
	"github.com/hullmark/hullmark/internal/evidence"
	"github.com/hullmark/hullmark/internal/fleet/fleetv1"
	"github.com/hullmark/hullmark/internal/fleet/fleetv1/fleetv1connect"
)

// world is a real server on loopback with an administrator.
type world struct {
	t     *testing.T
	data  string
	app   *app.App
	url   string
	admin evidence.Actor
	stop  context.CancelFunc
	ended chan error
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{t: t, data: t.TempDir()}
	w.start()
	token := w.app.AdminToken
	t.Cleanup(func() { w.shutdown() })
	var err error
	w.admin, err = w.app.Accounts.AuthenticateSecret(t.Context(), "token", token, "127.0.0.1:1")
	if err != nil {
		t.Fatal(err)
	}
	return w
}

func (w *world) start() {
	w.t.Helper()
	a, err := app.Open(w.t.Context(), app.Config{Data: w.data, Listen: "127.0.0.1:0"})
	if err != nil {
		w.t.Fatal(err)
	}
	s, err := a.Listen()
	if err != nil {
		w.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	w.app, w.url, w.stop, w.ended = a, s.URL, cancel, make(chan error, 1)
	go func() { w.ended <- s.Run(ctx) }()
}

func (w *world) shutdown() {
	w.t.Helper()
	w.stop()
	if err := errors.Join(<-w.ended, w.app.Close()); err != nil {
		w.t.Error(err)
	}
}

// restart ends the server and starts it again on the same data, at another address.
func (w *world) restart() {
	w.t.Helper()
	w.shutdown()
	w.start()
}

// member is an enrolled fleet member's client.
type member struct {
	fleetv1connect.FleetClient
	id    string
	token string
}

func (w *world) enrol(kind account.MemberKind, name string) member {
	w.t.Helper()
	token, made, err := w.app.Accounts.Enrol(w.t.Context(), w.admin, account.Enrolment{Kind: kind, Name: name})
	if err != nil {
		w.t.Fatal(err)
	}
	return member{w.client(token), made.ID, token}
}

// bearer adds a token to every request, over HTTP/2 without TLS.
type bearer struct {
	token string
	http  *http.Transport
}

func (b bearer) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.Header.Set("Authorization", "Bearer "+b.token)
	return b.http.RoundTrip(r)
}

func (w *world) client(token string) fleetv1connect.FleetClient {
	p := new(http.Protocols)
	p.SetUnencryptedHTTP2(true)
	transport := &http.Transport{Protocols: p}
	w.t.Cleanup(transport.CloseIdleConnections)
	return fleetv1connect.NewFleetClient(&http.Client{Transport: bearer{token, transport}}, w.url)
}

// watch opens a stream and reads until synced.
func (w *world) watch(m member, req *fleetv1.WatchRequest) *connect.ServerStreamForClient[fleetv1.Update] {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.t.Context(), time.Minute)
	w.t.Cleanup(cancel)
	stream, err := m.Watch(ctx, connect.NewRequest(req))
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { stream.Close() })
	until(w.t, stream, func(u *fleetv1.Update) bool { return u.GetSynced() })
	return stream
}

// until reads updates until one satisfies, and returns it.
func until(t *testing.T, s *connect.ServerStreamForClient[fleetv1.Update], satisfies func(*fleetv1.Update) bool) *fleetv1.Update {
	t.Helper()
	for s.Receive() {
		if satisfies(s.Msg()) {
			return s.Msg()
		}
	}
	t.Fatalf("the stream ended: %v", s.Err())
	return nil
}

func draft(t *testing.T, name string, p evidence.Predicate) *fleetv1.Draft {
	t.Helper()
	raw, err := json.Marshal(p)
	if err != nil {
		t.Fatal(err)
	}
	return &fleetv1.Draft{
		Subjects: []*fleetv1.Subject{{Name: name, Digest: string(digest.FromBytes([]byte(name)))}}, PredicateType: p.PredicateType(), Predicate: raw,
	}
}

func receipt(t *testing.T, recall int64) *fleetv1.Draft {
	return draft(t, fmt.Sprintf("recall:%d", recall), evidence.Decision{
		Gate: "run", Action: "recall", Verdict: "deny", Receipt: &evidence.Receipt{Recall: recall, Receiver: "somebody else", Outcome: "enforced"},
	})
}

func TestARecallReachesAnAgentAndItsReceiptComesBack(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	agent := w.enrol(account.AgentMember, "node-7")
	stream := w.watch(agent, &fleetv1.WatchRequest{None: true})
	_, err := w.app.Record.Append(t.Context(), nil, evidence.Draft{
		Subjects: []evidence.Subject{{Name: "pkg:npm/left-pad@1.0.0"}}, Predicate: evidence.Recall{Reason: "worm", Actor: w.admin},
		Issuer: w.admin.Issuer(), Assurance: evidence.Authenticated,
	})
	if err != nil {
		t.Fatal(err)
	}
	u := until(t, stream, func(u *fleetv1.Update) bool { return len(u.GetRecalls().GetRecalls()) > 0 })
	got := u.GetRecalls().Recalls[0]
	if got.Reason != "worm" || len(got.Subjects) != 1 || u.Head != w.app.Record.Head() {
		t.Errorf("%v", u)
	}
	answer, err := agent.Report(t.Context(), connect.NewRequest(&fleetv1.ReportRequest{Batch: "1", Drafts: []*fleetv1.Draft{receipt(t, got.Seq)}}))
	if err != nil {
		t.Fatal(err)
	}
	var receiver string
	err = w.app.DB.Query().QueryRowContext(t.Context(), `SELECT receiver FROM receipt WHERE recall_seq = $1 AND seq = $2`, got.Seq, answer.Msg.Seqs[0]).Scan(&receiver)
	if err != nil || receiver != "agent/node-7" {
		t.Errorf("receiver %q, %v", receiver, err)
	}
}
