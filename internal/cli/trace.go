package cli

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/hullmark/hullmark/internal/api/client"
	"github.com/hullmark/hullmark/internal/trace"
)

func newTrace(e *env) *cobra.Command {
	cmd := asker(e, "trace X", "Where is it, and where did it come from?",
		func(ctx context.Context, c *client.Client, args []string) (*trace.Result, error) {
			return c.Trace(ctx, args[0])
		},
		printTrace)
	cmd.GroupID = "ask"
	cmd.Long = `Trace a release into the layers and images that contain it, and an image, layer or file back to the
releases in it and to who published them. X is one of

  pkg:npm/%40acme/ui@1.2.3        a release or component
  sha256:…                        an artifact, manifest, layer, layer blob or file
  acme/shop:1.0                   an image
  publisher:alice                 everything that alice published

Branches say on what ground something is held to be there: metadata (a package database or manifest
names it), content (the bytes of its files are there), or both.`
	cmd.Example = "  hullmark trace pkg:npm/%40acme/ui@1.2.3\n  hullmark trace acme/shop:1.0 -o json"
	return cmd
}
