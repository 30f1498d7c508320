package cli

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/spf13/cobra"

	"github.com/hullmark/hullmark/internal/app"
	"github.com/hullmark/hullmark/internal/cli/output"
	"github.com/hullmark/hullmark/internal/sensor"
)

func demoCommands(e *env) []*cobra.Command {
	return []*cobra.Command{newDemoWorm(e), newDemoRuntime()}
}

// runs is the last gate: the image runs in a container of the demo's own, under the sensor's eyes.
func (w *wormStory) runs(ctx context.Context) error {
	if os.Geteuid() != 0 {
		w.p.Line("   %s: containers and kernel programs take root. Run it with sudo to see the process stopped.", output.Warn("left out"))
		return nil
	}
	image, err := w.pull(ctx)
	if err != nil {
		return err
	}
	c, err := newDemoContainer(filepath.Join(w.folder, "container"), image)
	if err != nil {
		return fmt.Errorf("make a container: %w", err)
	}
	defer c.close()
	alerts, err := w.startAgent(ctx, c)
	if err != nil {
		return err
	}
	w.p.Line("   $ docker run %s   (an overlay mount, a cgroup and namespaces of the demo's own)", wormImage)
	out, state, err := c.run(ctx, "/srv/vendor/bundle.js")
	if err != nil {
		return err
	}
	for line := range strings.Lines(out) {
		w.p.Line("     %s", output.Dim(strings.TrimSpace(line)))
	}
	select {
	case w.alert = <-alerts:
	case <-time.After(10 * time.Second):
		return errors.New("nothing was told within 10 s")
	case <-ctx.Done():
		return ctx.Err()
	}
	if strings.Contains(out, "sent to") {
		return errors.New("the container reached the network")
	}
	ended := state.String()
	if status, ok := state.Sys().(syscall.WaitStatus); ok && status.Signaled() {
		ended = output.Good(status.Signal().String())
	}
	w.p.Line("   the process ended: %s; nothing left the machine", ended)
	w.p.Line("   %s", output.Bad(w.alert))
	return nil
}

// pull fetches the image from the registry, as a node does.
func (w *wormStory) pull(ctx context.Context) (v1.Image, error) {
	ref, err := name.ParseReference(w.host+"/acme/shop@"+w.image, name.Insecure)
	if err != nil {
		return nil, err
	}
	return remote.Image(ref, remote.WithContext(ctx), remote.WithAuth(authn.Anonymous))
}

// startAgent runs the agent beside the demo until it ends, and returns where its alerts arrive.
func (w *wormStory) startAgent(ctx context.Context, c *demoContainer) (<-chan string, error) {
	r, lines := io.Pipe()
	ready, alerts := make(chan app.AgentInfo, 1), make(chan string, 16)
	known := make(chan struct{}, 1)
	go w.listen(r, alerts, known)
	w.beside(func(ctx context.Context) error {
		err := app.RunAgent(ctx, app.AgentConfig{
			Node: "node-1", Cluster: wormCluster, Server: w.url, Token: w.tokens["agent"], State: filepath.Join(w.folder, "agent"),
			Stdout: lines, AlertsOnly: true, Enforce: "auto", StopDrift: true, ContainExcepted: true,
			CRI: "none", Podman: "none",
			Rules: []string{c.rule(w.image, w.host+"/"+wormImage)},
		}, func(i app.AgentInfo) { ready <- i })
		return errors.Join(err, lines.Close())
	})
	select {
	case i := <-ready:
		w.p.Line("   the sensor is in the kernel; level %s, proven by a self-test", output.Good(i.Level))
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	select {
	case <-known:
		return alerts, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// listen reads the agent's lines until it ends, and passes on the sentences.
func (w *wormStory) listen(r io.Reader, alerts chan<- string, known chan<- struct{}) {
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var l sensor.Line
		if json.Unmarshal(lines.Bytes(), &l) != nil {
			continue
		}
		if l.Container != nil {
			offer(known, struct{}{})
		}
		if l.Alert != nil {
			offer(alerts, l.Alert.Sentence)
		}
	}
}

// offer sends without waiting; what there is no room for is one too many.
func offer[T any](to chan<- T, v T) {
	select {
	case to <- v:
	default:
	}
}
