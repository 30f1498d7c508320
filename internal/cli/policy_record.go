package cli

import (
	"context"
	"errors"
	"strings"

	"github.com/spf13/cobra"

	"github.com/hullmark/hullmark/internal/api/client"
	"github.com/hullmark/hullmark/internal/cli/output"
	"github.com/hullmark/hullmark/internal/digest"
	"github.com/hullmark/hullmark/internal/fault"
	"github.com/hullmark/hullmark/internal/purl"
)

func newPolicyRecord(e *env) *cobra.Command {
	var head int64
	cmd := &cobra.Command{
		Use: "record IMAGE", Short: "Print what policies decide from: the variable `record` of an image", Args: exactArgs("IMAGE"),
		Long: `Print the record of an image as policies see it: who published and approved it, what is in it and how that came to be
published, what is recalled, and what is not known. IMAGE is a digest, or a name here with a tag: acme/shop:1. With --head, as it was
when the record had that many statements.`,
		Example: "  hullmark policy record acme/shop:1\n  hullmark policy record sha256:… --head 4711 -o json",
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := e.client()
			if err != nil {
				return err
			}
			d, err := imageDigest(cmd.Context(), c, args[0])
			if err != nil {
				return err
			}
			record, err := c.ImageRecord(cmd.Context(), d, head)
			if err != nil {
				return err
			}
			return e.printer().Print(record, func(*output.Printer) {
				err = errors.Join(err, output.New(e.Out, output.YAML).Print(record, nil))
			})
		},
	}
	cmd.Flags().Int64Var(&head, "head", -1, "size of the record as of which to answer (default: now)")
	return cmd
}

// imageDigest returns what a reference to this server points at.
func imageDigest(ctx context.Context, c *client.Client, image string) (string, error) {
	if _, after, pinned := strings.Cut(image, "@"); pinned {
		image = after
	}
	if d, err := digest.Parse(image); err == nil {
		return string(d), nil
	}
	repository, tag := image, "latest"
	if i := strings.LastIndex(image, ":"); i > strings.LastIndex(image, "/") {
		repository, tag = image[:i], image[i+1:]
	}
	p, err := c.Package(ctx, purl.OCI, repository)
	if err != nil {
		return "", err
	}
	if p.Tags[tag] == "" {
		return "", fault.New(fault.NotFound, "version-unknown", "%s has no tag %q", repository, tag)
	}
	return p.Tags[tag], nil
}
