package crash

import (
	"bytes"
	"context"
	"encoding/base64"
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/hullmark/hullmark/internal/app"
	"github.com/hullmark/hullmark/internal/digest"
	"github.com/hullmark/hullmark/internal/evidence"
	"github.com/hullmark/hullmark/internal/purl"
	"github.com/hullmark/hullmark/internal/registry"
)

const (
	childVariable = "HULLMARK_CRASH_CHILD" // the data folder; set in the child
	tokenVariable = "HULLMARK_CRASH_TOKEN"
	workers       = 3
)

// child is the process that gets killed: it publishes as fast as it can and acknowledges on
// standard output what a client would have been told.
func child(ctx context.Context, data string) error {
	a, err := app.Open(ctx, config(data))
	if err != nil {
		return err
	}
	defer a.Close()
	actor, err := a.Accounts.AuthenticateSecret(ctx, "admin", os.Getenv(tokenVariable), "127.0.0.1:1")
	if err != nil {
		return err
	}
	acknowledge("ready")
	g, ctx := errgroup.WithContext(ctx)
	for w := range workers {
		g.Go(func() error { return publishForEver(ctx, a, actor, w) })
	}
	g.Go(func() error { return sequenceForEver(ctx, a) })
	return g.Wait()
}

func config(data string) app.Config { return app.Config{Data: data} }

func acknowledge(format string, args ...any) { fmt.Fprintf(os.Stdout, format+"\n", args...) }

func sequenceForEver(ctx context.Context, a *app.App) error {
	for {
		c, err := a.Log.Sequence(ctx)
		if err != nil {
			return err
		}
		acknowledge("checkpoint %s", base64.StdEncoding.EncodeToString(c.Note))
		time.Sleep(5 * time.Millisecond) // load, not a wait for something
	}
}

func publishForEver(ctx context.Context, a *app.App, actor evidence.Actor, worker int) error {
	for i := 0; ; i++ {
		name := fmt.Sprintf("@acme/w%d", worker)
		version := fmt.Sprintf("1.%d.%d", os.Getpid(), i)
		if err := publishOne(ctx, a, actor, name, version); err != nil {
			return err
		}
	}
}

func publishOne(ctx context.Context, a *app.App, actor evidence.Actor, name, version string) error {
	body := bytes.Repeat([]byte(name+version), 1+rand.IntN(2000))
	artifact, err := put(ctx, a, body)
	if err != nil {
		return err
	}
	acknowledge("blob %s", artifact)
	metadata, err := put(ctx, a, []byte(`{"name":"`+name+`","version":"`+version+`"}`))
	if err != nil {
		return err
	}
	p := purl.New(purl.NPM, name, version)
	contents, err := contentsOf(ctx, a, p, artifact, body)
	if err != nil {
		return err
	}
	err = a.Core.Publish(ctx, actor, registry.Upload{
		Ecosystem: purl.NPM, Name: name, Version: version, PURL: p, Tags: []string{"latest"},
		Artifact: artifact, Size: int64(len(body)), MediaType: "application/gzip", Metadata: metadata,
		Contents: []evidence.Draft{contents},
	})
	if err != nil {
		return err
	}
	acknowledge("release %s %s %s", name, version, artifact)
	return nil
}

func put(ctx context.Context, a *app.App, body []byte) (digest.Digest, error) {
	u, err := a.Blobs.Create(ctx)
	if err != nil {
		return "", err
	}
	if _, err := u.Write(body); err != nil {
		return "", err
	}
	return u.Commit(ctx, digest.FromBytes(body))
}

func contentsOf(ctx context.Context, a *app.App, p purl.PURL, artifact digest.Digest, body []byte) (evidence.Draft, error) {
	inv := &evidence.Inventory{Analyser: "release/1", Entries: 2, Bytes: int64(len(body))}
	for i := range 3 {
		inv.Files = append(inv.Files, evidence.File{
			Path: fmt.Sprintf("package/%d.js", i), Size: 10, Mode: 0o644, SHA256: digest.FromBytes(fmt.Append(nil, p, i)),
		})
	}
	d, err := a.Record.StoreInventory(ctx, inv)
	return evidence.Draft{
		Subjects:  []evidence.Subject{evidence.About(p, artifact)},
		Predicate: evidence.Contents{Of: "release", Analyser: inv.Analyser, Inventory: d, Files: len(inv.Files)},
		Issuer:    evidence.Issuer{Kind: evidence.Gate, ID: "publish"}, Assurance: evidence.Observed,
	}, err
}

// ack is one line that a child wrote whole before it died.
type ack struct {
	kind string
	args []string
}

func parseAcks(out string) []ack {
	var acks []ack
	for line := range strings.Lines(out) {
		if f := strings.Fields(line); strings.HasSuffix(line, "\n") && len(f) > 0 {
			acks = append(acks, ack{f[0], f[1:]})
		}
	}
	return acks
}
