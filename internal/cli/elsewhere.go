//go:build !linux

package cli

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/hullmark/hullmark/internal/cli/output"
)

// Other systems than Linux have the server, the client and admission; what needs a node's kernel is not there.

func nodeCommands(*env) []*cobra.Command { return nil }

func demoCommands(e *env) []*cobra.Command { return []*cobra.Command{newDemoWorm(e)} }

// runs says what is missing: the last gate is Linux's.
func (w *wormStory) runs(context.Context) error {
	w.p.Line("   %s: the sensor is for Linux", output.Warn("left out"))
	return nil
}
