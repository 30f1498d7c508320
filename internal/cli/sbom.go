package cli

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/hullmark/hullmark/internal/cli/sbom"
	"github.com/hullmark/hullmark/internal/image"
	"github.com/hullmark/hullmark/internal/policy"
)

func newSBOM(e *env) *cobra.Command {
	var format string
	var head int64
	cmd := &cobra.Command{
		Use: "sbom X", Short: "Write a bill of materials, CycloneDX or SPDX, of an image or a local file", GroupID: "ask", Args: exactArgs("X"),
		Long: `Write what is inside X as a bill of materials: CycloneDX 1.6 or SPDX 2.3, as JSON. X is a local image archive, package
tarball or folder, for which no server is needed; or an image here by digest or name and tag, and then each component says who
published it and whether it is recalled, also where only its bytes tell what it is. What was not read is said to be missing.`,
		Example: "  hullmark sbom acme/shop:1 > shop.cdx.json\n  hullmark sbom shop.tar --format spdx",
		RunE: func(cmd *cobra.Command, args []string) error {
			write, known := map[string]func(d *sbom.Document) error{
				"cyclonedx": func(d *sbom.Document) error { return sbom.CycloneDX(e.Out, d, Version, time.Now()) },
				"spdx":      func(d *sbom.Document) error { return sbom.SPDX(e.Out, d, Version, time.Now()) },
			}[format]
			if !known {
				return usageError{fmt.Errorf("--format is cyclonedx or spdx, not %q", format)}
			}
			d, err := e.materials(cmd.Context(), args[0], head)
			if err != nil {
				return err
			}
			return write(d)
		},
	}
	cmd.Flags().StringVar(&format, "format", "cyclonedx", "cyclonedx or spdx")
	cmd.Flags().Int64Var(&head, "head", -1, "size of the record as of which to answer (default: now)")
	return cmd
}

// materials are what is inside a local file, or an image of the server.
func (e *env) materials(ctx context.Context, x string, head int64) (*sbom.Document, error) {
	if _, err := os.Stat(x); err == nil {
		report, err := image.Inspect(ctx, x)
		if err != nil {
			return nil, err
		}
		return localMaterials(x, report), nil
	}
	c, err := e.client()
	if err != nil {
		return nil, err
	}
	d, err := imageDigest(ctx, c, x)
	if err != nil {
		return nil, err
	}
	record, err := c.ImageRecord(ctx, d, head)
	if err != nil {
		return nil, err
	}
	return recordedMaterials(x, record), nil
}

func localMaterials(path string, r *image.Report) *sbom.Document {
	d := &sbom.Document{
		Name: path, Digest: string(r.Manifest), Platform: r.Platform, Image: r.Kind != image.Tarball && r.Kind != image.Folder, Head: -1,
		Gaps: append([]string{}, r.Incomplete...),
	}
	for _, other := range r.Others {
		d.Gaps = append(d.Gaps, "not read: "+other)
	}
	for _, c := range r.Components {
		one := sbom.Component{PURL: string(c.PURL), Path: c.Path, Layer: c.Layer, Grounds: "metadata"}
		if !d.Image {
			one.Layer = -1
		}
		d.Components = append(d.Components, one)
	}
	return d
}

func recordedMaterials(name string, r policy.Record) *sbom.Document {
	d := &sbom.Document{Name: name, Digest: r.Digest, Platform: r.Contents.Platform, Image: true, Head: r.Head, Gaps: r.Gaps}
	if !r.Contents.Complete && len(d.Gaps) == 0 {
		d.Gaps = []string{"not every layer was read to its end"}
	}
	for _, c := range r.Contents.Components {
		d.Components = append(d.Components, sbom.Component{
			PURL: c.PURL, Path: c.Path, Layer: c.Layer, Grounds: c.Grounds, Artifact: c.Artifact,
			Publisher: c.Published.Publisher, At: c.Published.At, Recalled: c.Recalled,
		})
	}
	return d
}
