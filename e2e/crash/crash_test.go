package crash

import (
	"bytes"
	"context"
	"encoding/base64"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/note"

	"github.com/hullmark/hullmark/internal/account"
	"github.com/hullmark/hullmark/internal/app"
	"github.com/hullmark/hullmark/internal/digest"
	"github.com/hullmark/hullmark/internal/purl"
	"github.com/hullmark/hullmark/internal/tlog"
)

var points = flag.Int("points", 200, "how often the child is killed")

// perFolder is after how many kills a fresh data folder is begun, so that checks stay quick.
const perFolder = 50

func TestMain(m *testing.M) {
	if data := os.Getenv(childVariable); data != "" {
		fmt.Fprintln(os.Stderr, child(context.Background(), data))
		os.Exit(1)
	}
	os.Exit(m.Run())
}

func TestNothingAcknowledgedIsLostWhenTheServerIsKilled(t *testing.T) {
	if testing.Short() {
		t.Skip("minutes of work; run without -short")
	}
	var total counts
	for done := 0; done < *points; done += perFolder {
		h := newHarness(t)
		for range min(perFolder, *points-done) {
			h.round()
		}
		h.checkRebuild()
		total.add(h.counts)
	}
	t.Logf("%d kills (%d before the child was ready): %d blobs, %d releases, %d checkpoints acknowledged and found",
		total.kills, total.early, total.blobs, total.releases, total.checkpoints)
	if total.releases < *points || total.checkpoints < *points {
		t.Errorf("the load was too small to show anything")
	}
}

type counts struct{ kills, early, blobs, releases, checkpoints int }

func (c *counts) add(o counts) {
	c.kills += o.kills
	c.early += o.early
	c.blobs += o.blobs
	c.releases += o.releases
	c.checkpoints += o.checkpoints
}

// harness is one data folder that children work on and die over.
type harness struct {
	t     *testing.T
	data  string
	token string
	counts
}

func newHarness(t *testing.T) *harness {
	h := &harness{t: t, data: t.TempDir()}
	a := h.open()
	defer a.Close()
	h.token = a.AdminToken
	actor, err := a.Accounts.AuthenticateSecret(t.Context(), "admin", h.token, "127.0.0.1:1")
	if err != nil {
		t.Fatal(err)
	}
	if err := a.Accounts.CreateOrganisation(t.Context(), actor, "acme"); err != nil {
		t.Fatal(err)
	}
	if err := a.Accounts.ClaimNamespace(t.Context(), actor, "acme", purl.NPM, "@acme", account.Private); err != nil {
		t.Fatal(err)
	}
	return h
}

func (h *harness) open() *app.App {
	h.t.Helper()
	a, err := app.Open(h.t.Context(), config(h.data))
	if err != nil {
		h.t.Fatalf("after %d kills the data folder does not open: %v", h.kills, err)
	}
	return a
}

// round runs a child for a random while, kills it and checks what is left.
func (h *harness) round() {
	out := h.kill(time.Duration(rand.IntN(80_000)) * time.Microsecond)
	h.kills++
	acks := parseAcks(out)
	if len(acks) == 0 {
		h.early++
	}
	a := h.open()
	defer a.Close()
	for _, k := range acks {
		switch k.kind {
		case "blob":
			h.checkBlob(a, digest.Digest(k.args[0]))
		case "release":
			h.checkRelease(a, k.args[0], k.args[1], digest.Digest(k.args[2]))
		case "checkpoint":
			h.checkCheckpoint(a, k.args[0])
		}
	}
	h.checkWhole(a)
}

// kill starts a child, lets it be for d after it is ready (or, one time in ten, after it was
// started) and ends it with SIGKILL. It returns what the child acknowledged.
func (h *harness) kill(d time.Duration) string {
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), childVariable+"="+h.data, tokenVariable+"="+h.token)
	out := &acks{ready: make(chan struct{})}
	var stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = out, &stderr
	if err := cmd.Start(); err != nil {
		h.t.Fatal(err)
	}
	if rand.IntN(10) == 0 {
		d /= 8 // while it starts
	} else {
		select {
		case <-out.ready:
		case <-time.After(20 * time.Second):
			h.t.Errorf("the child did not get ready: %s", stderr.String())
		}
	}
	time.Sleep(d) // the random moment is the point of the test
	if err := cmd.Process.Kill(); err != nil {
		h.t.Fatal(err)
	}
	cmd.Wait() // the kill is its error
	if s := stderr.String(); s != "" {
		h.t.Errorf("the child failed by itself: %s", s)
	}
	return out.String()
}

// acks collects a child's standard output and tells when the first line came.
type acks struct {
	mu    sync.Mutex
	buf   bytes.Buffer
	once  sync.Once
	ready chan struct{}
}

func (a *acks) Write(p []byte) (int, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.once.Do(func() { close(a.ready) })
	return a.buf.Write(p)
}

func (a *acks) String() string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.buf.String()
}

func (h *harness) checkBlob(a *app.App, d digest.Digest) {
	h.t.Helper()
	h.blobs++
	f, err := a.Blobs.Open(h.t.Context(), d)
	if err != nil {
		h.t.Errorf("kill %d: blob %s is lost: %v", h.kills, d, err)
		return
	}
	defer f.Close()
	if got, _, err := digest.FromReader(f); err != nil || got != d {
		h.t.Errorf("kill %d: blob %s holds %s, %v", h.kills, d, got, err)
	}
}

func (h *harness) checkRelease(a *app.App, name, version string, artifact digest.Digest) {
	h.t.Helper()
	h.releases++
	r, err := a.Core.Release(h.t.Context(), purl.NPM, name, version)
	if err != nil || r.Artifact != artifact {
		h.t.Errorf("kill %d: release %s %s is lost or changed: %+v, %v", h.kills, name, version, r, err)
		return
	}
	statements, err := a.Record.About(h.t.Context(), string(r.PURL), -1, 10)
	if err != nil || len(statements) != 3 {
		h.t.Errorf("kill %d: %s has %d statements, %v; want publication, decision, contents", h.kills, r.PURL, len(statements), err)
	}
}

func (h *harness) checkCheckpoint(a *app.App, encoded string) {
	h.t.Helper()
	h.checkpoints++
	signed, err := base64.StdEncoding.DecodeString(encoded)
	if err != nil {
		h.t.Fatal(err)
	}
	verifier, err := note.NewVerifier(a.LogKey)
	if err != nil {
		h.t.Fatal(err)
	}
	old, err := tlog.OpenCheckpoint(signed, verifier)
	if err != nil {
		h.t.Fatal(err)
	}
	if old.Size > a.Record.Head() {
		h.t.Fatalf("kill %d: a checkpoint of size %d was handed out, and the record has %d statements", h.kills, old.Size, a.Record.Head())
	}
	now := a.Log.Checkpoint()
	proof, err := a.Log.Consistency(h.t.Context(), old.Size, now.Size)
	if err == nil {
		err = now.Extends(old, proof)
	}
	if err != nil {
		h.t.Errorf("kill %d: the log (size %d) does not extend the checkpoint of size %d: %v", h.kills, now.Size, old.Size, err)
	}
}

// checkWhole looks at everything that is visible, acknowledged or not: a release without its
// statement, its bytes or its file index would be half visible.
func (h *harness) checkWhole(a *app.App) {
	h.t.Helper()
	h.none(a, "release without its publication statement",
		`SELECT r.purl FROM release r LEFT JOIN publication p ON p.seq = r.seq WHERE p.seq IS NULL`)
	h.none(a, "release without its file index", `SELECT r.purl FROM release r
		WHERE (SELECT count(*) FROM file f WHERE f.artifact_id = r.artifact_id) <> 3`)
	h.none(a, "statement missing in the middle", `SELECT 'seq' FROM (SELECT count(*) AS n, max(seq) AS last FROM statement) WHERE n > 0 AND n <> last + 1`)
	rows, err := a.DB.Query().QueryContext(h.t.Context(), `SELECT a.digest FROM release r JOIN artifact a ON a.id = r.artifact_id
		UNION ALL SELECT metadata FROM release`)
	if err != nil {
		h.t.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		var d digest.Digest
		if err := rows.Scan(&d); err != nil {
			h.t.Fatal(err)
		}
		if _, err := a.Blobs.Stat(h.t.Context(), d); err != nil {
			h.t.Errorf("kill %d: a visible release names a blob that is not there: %v", h.kills, err)
		}
	}
}

func (h *harness) none(a *app.App, what, query string) {
	h.t.Helper()
	rows, err := a.DB.Query().QueryContext(h.t.Context(), query)
	if err != nil {
		h.t.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		var s string
		if err := rows.Scan(&s); err != nil {
			h.t.Fatal(err)
		}
		h.t.Errorf("kill %d: %s: %s", h.kills, what, s)
	}
}

// checkRebuild drops and rebuilds the projections of a folder that saw many crashes.
func (h *harness) checkRebuild() {
	h.t.Helper()
	a := h.open()
	defer a.Close()
	before := h.releaseList(a)
	if err := a.Record.Rebuild(h.t.Context(), nil); err != nil {
		h.t.Fatal(err)
	}
	if after := h.releaseList(a); before != after || before == "" {
		h.t.Errorf("after %d kills a rebuild gives other releases", h.kills)
	}
}

func (h *harness) releaseList(a *app.App) string {
	h.t.Helper()
	rows, err := a.DB.Query().QueryContext(h.t.Context(), `SELECT purl FROM release ORDER BY id`)
	if err != nil {
		h.t.Fatal(err)
	}
	defer rows.Close()
	var list strings.Builder
	for rows.Next() {
		var p string
		if err := rows.Scan(&p); err != nil {
			h.t.Fatal(err)
		}
		list.WriteString(p + "\n")
	}
	return list.String()
}
