package cli

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/spf13/cobra"

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

// startAgent runs `hullmark agent` until the demo ends, and returns where its alerts arrive. It is a process
// of its own: one that judges executions on an overlay must not itself execute there.
func (w *wormStory) startAgent(ctx context.Context, c *demoContainer) (<-chan string, error) {
	token, state := filepath.Join(w.folder, "agent.token"), filepath.Join(w.folder, "agent")
	if err := os.WriteFile(token, []byte(w.tokens["agent"]), 0o600); err != nil {
		return nil, err
	}
	ctx, end := context.WithCancel(ctx)
	cmd := exec.CommandContext(ctx, c.binary, "agent", "--server", w.url, "--token-file", token, "--state", state, "--node", "node-1",
		"--cluster", wormCluster, "--stdout", "--alerts-only", "--drift", "stop", "--excepted", "stop",
		"--container", c.rule(w.image, w.host+"/"+wormImage))
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = 10 * time.Second
	talk, err := os.Create(filepath.Join(w.folder, "agent.log"))
	if err != nil {
		end()
		return nil, err
	}
	defer talk.Close() // the agent has its own
	cmd.Stderr = talk
	lines, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		end()
		return nil, err
	}
	alerts, known := make(chan string, 16), make(chan struct{}, 1)
	gone := make(chan error, 1)
	w.beside(func(ctx context.Context) error {
		context.AfterFunc(ctx, end)
		w.listen(lines, alerts, known)
		gone <- cmd.Wait()
		end()
		return nil
	})
	select {
	case <-known:
		said, err := os.ReadFile(talk.Name())
		w.p.Line("   $ hullmark agent … --drift stop --excepted stop  → %s", firstLine(string(said)))
		return alerts, err
	case err := <-gone:
		said, _ := os.ReadFile(talk.Name())
		return nil, fmt.Errorf("the agent ended (%v): %s", err, said)
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
