package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/mod/sumdb/note"
	"golang.org/x/sync/errgroup"

	"github.com/hullmark/hullmark/internal/account"
	"github.com/hullmark/hullmark/internal/app"
	"github.com/hullmark/hullmark/internal/cli/output"
	"github.com/hullmark/hullmark/internal/evidence"
	"github.com/hullmark/hullmark/internal/purl"
	"github.com/hullmark/hullmark/internal/trace"
)

func newDemo(e *env) *cobra.Command {
	cmd := &cobra.Command{
		Use: "demo", Short: "Watch a release travel from publication into an image, and trace it back", GroupID: "serve",
		Long: `Start a throw-away server, publish two versions of a package with the real npm (with a small client
of its own where npm is missing), push an image that holds one of them as an installed package and the
other as a file copied out of it, then trace both ways and verify the record offline.`,
		Args: exactArgs(),
		RunE: func(cmd *cobra.Command, _ []string) error { return runDemo(cmd.Context(), e, (*demo).journey) },
	}
	cmd.AddCommand(demoCommands(e)...)
	return cmd
}

// demoStep is one scene of a demo.
type demoStep struct {
	title string
	do    func(context.Context) error
}

// demo is one run: a server in this process, and clients that reach it over the network.
type demo struct {
	*env
	p       *output.Printer
	app     *app.App
	server  *app.Server
	url     string
	token   string
	folder  string
	started time.Time
	// beside runs something until the demo ends.
	beside func(func(context.Context) error)
}

// runDemo starts a server and plays the steps on it.
func runDemo(ctx context.Context, e *env, steps func(*demo) []demoStep) error {
	folder, err := os.MkdirTemp("", "hullmark-demo-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(folder)
	started := time.Now()
	a, err := app.Open(ctx, app.Config{Data: filepath.Join(folder, "data"), Listen: "127.0.0.1:0"})
	if err != nil {
		return err
	}
	defer a.Close()
	s, err := a.Listen()
	if err != nil {
		return err
	}
	d := &demo{env: e, p: e.printer(), app: a, server: s, url: s.URL, token: a.AdminToken, folder: folder, started: started}
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	g, ctx := errgroup.WithContext(ctx)
	d.beside = func(run func(context.Context) error) { g.Go(func() error { return run(ctx) }) }
	d.beside(s.Run)
	g.Go(func() error {
		defer stop()
		return d.play(ctx, steps(d))
	})
	return g.Wait()
}

// journey is a release that travels from its publication into an image.
func (d *demo) journey() []demoStep {
	return []demoStep{
		{"An organisation claims the npm scope @acme and the image prefix acme", d.claim},
		{"Two versions of @acme/greet are published", d.publish},
		{"An image is pushed: 1.1.0 installed in node_modules, and a file copied out of 1.0.0", d.push},
		{"Where is @acme/greet 1.1.0? (known by its metadata)", d.traceQuery("pkg:npm/%40acme/greet@1.1.0")},
		{"Where is @acme/greet 1.0.0? (nothing says so but the bytes of the copied file)", d.traceQuery("pkg:npm/%40acme/greet@1.0.0")},
		{"And back: what is in the image, and who published it?", d.traceQuery("acme/shop:1")},
		{"The record of 1.0.0, verified with the log's public key alone: no server, no network", d.verify},
	}
}

func (d *demo) play(ctx context.Context, steps []demoStep) error {
	for i, step := range steps {
		d.p.Line("\n%s", output.Head(fmt.Sprintf("%d. %s", i+1, step.title)))
		if err := step.do(ctx); err != nil {
			return fmt.Errorf("step %d: %w", i+1, err)
		}
	}
	d.p.Line("\n%s in %.1f s. Next: %s", output.Good("Done"), time.Since(d.started).Seconds(), output.Head("hullmark dev"))
	return nil
}

func (d *demo) actor(ctx context.Context) (evidence.Actor, error) {
	return d.app.Accounts.AuthenticateSecret(ctx, "admin", d.token, "127.0.0.1:0")
}

func (d *demo) claim(ctx context.Context) error {
	actor, err := d.actor(ctx)
	if err != nil {
		return err
	}
	err = d.app.Accounts.CreateOrganisation(ctx, actor, "acme")
	for ecosystem, pattern := range map[string]string{purl.NPM: "@acme", purl.OCI: "acme"} {
		err = errors.Join(err, d.app.Accounts.ClaimNamespace(ctx, actor, "acme", ecosystem, pattern, account.Private))
	}
	d.p.Line("   organisation acme owns npm @acme and oci acme; server %s", d.url)
	return err
}

func (d *demo) publish(ctx context.Context) error {
	for _, version := range []string{"1.0.0", "1.1.0"} {
		how, err := d.publishVersion(ctx, demoPackage{"@acme/greet", version, demoFiles(version), d.token})
		if err != nil {
			return err
		}
		d.p.Line("   %s @acme/greet@%s  with %s", output.Good("published"), version, how)
	}
	return nil
}

func (d *demo) push(ctx context.Context) error {
	image, err := demoImage()
	if err != nil {
		return err
	}
	digest, err := pushImage(ctx, d.url, "acme/shop:1", "admin", d.token, image)
	if err != nil {
		return err
	}
	d.p.Line("   %s acme/shop:1  %s", output.Good("pushed"), digest)
	return d.server.OCI.Settled(ctx)
}

func (d *demo) traceQuery(query string) func(context.Context) error {
	return func(ctx context.Context) error {
		actor, err := d.actor(ctx)
		if err != nil {
			return err
		}
		result, err := trace.New(d.app.DB, d.app.Accounts).Trace(ctx, actor, query)
		if err != nil {
			return err
		}
		d.p.Line("   $ hullmark trace %s", query)
		printTrace(d.p, result)
		return nil
	}
}

func (d *demo) verify(ctx context.Context) error {
	return d.verifySubject(ctx, "pkg:npm/%40acme/greet@1.0.0")
}

func (d *demo) verifySubject(ctx context.Context, subject string) error {
	bundle, err := d.app.Record.Bundle(ctx, d.app.Log, subject)
	if err != nil {
		return err
	}
	var file bytes.Buffer
	if _, err := bundle.WriteTo(&file); err != nil {
		return err
	}
	verifier, err := note.NewVerifier(d.app.LogKey)
	if err != nil {
		return err
	}
	raw := file.Bytes()
	d.p.Line("   $ hullmark record %s --bundle record.json && hullmark verify record.json --key %s", subject, d.app.LogKey)
	report, err := evidence.VerifyBundle(bytes.NewReader(raw), verifier)
	if err != nil {
		return err
	}
	printReport(d.p, report)
	raw[len(raw)/2] ^= 1
	_, err = evidence.VerifyBundle(bytes.NewReader(raw), verifier)
	if err == nil {
		return errors.New("a bundle with a flipped bit verified")
	}
	d.p.Line("\n   and with one bit flipped:  %s", output.Bad(err.Error()))
	return nil
}
