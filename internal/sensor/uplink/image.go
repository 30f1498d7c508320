package uplink

import (
	"context"
	"fmt"

	"connectrpc.com/connect"

	"github.com/hullmark/hullmark/internal/digest"
	"github.com/hullmark/hullmark/internal/fault"
	"github.com/hullmark/hullmark/internal/fleet/fleetv1"
	"github.com/hullmark/hullmark/internal/sensor/layer"
)

// Image implements package layer's Source.
func (l *Line) Image(ctx context.Context, image digest.Digest, diffIDs []digest.Digest, visit func(layer.Part) error) error {
	err := l.image(ctx, &fleetv1.ImageRequest{Digest: string(image)}, visit)
	if connect.CodeOf(err) == connect.CodeNotFound && len(diffIDs) > 0 {
		err = l.image(ctx, &fleetv1.ImageRequest{DiffIds: texts(diffIDs)}, visit)
	}
	if connect.CodeOf(err) == connect.CodeNotFound {
		return fault.New(fault.NotFound, "image-not-recorded",
			"the record knows neither image %s nor its layers; push it to this server, or accept that its files have no names", image).Because(plain(err))
	}
	return err
}

func texts(diffIDs []digest.Digest) []string {
	var out []string
	for _, d := range diffIDs {
		out = append(out, string(d))
	}
	return out
}

func (l *Line) image(ctx context.Context, req *fleetv1.ImageRequest, visit func(layer.Part) error) error {
	if req.Digest == "" && len(req.DiffIds) == 0 {
		return connect.NewError(connect.CodeNotFound, fmt.Errorf("nothing to ask for"))
	}
	s, err := l.client.Image(ctx, connect.NewRequest(req))
	if err != nil {
		return err
	}
	defer s.Close()
	var purls []string
	for s.Receive() {
		part := layer.Part{}
		switch p := s.Msg().Part.(type) {
		case *fleetv1.ImageResponse_Image:
			part.Image, purls = imageOf(p.Image)
		case *fleetv1.ImageResponse_Files:
			if part, err = partOf(p.Files, purls); err != nil {
				return err
			}
		default:
			continue // a newer server may say more
		}
		if err := visit(part); err != nil {
			return err
		}
	}
	return s.Err()
}

func imageOf(in *fleetv1.Image) (*layer.Image, []string) {
	out := &layer.Image{References: in.References, Releases: map[string]layer.Release{}, Gaps: in.Gaps}
	if d, err := digest.Parse(in.Digest); err == nil {
		out.Digest = d
	}
	for _, s := range in.DiffIds {
		// A diffID that cannot be read keeps its place: it has no index, and the others keep theirs.
		d, _ := digest.Parse(s)
		out.DiffIDs = append(out.DiffIDs, d)
	}
	var purls []string
	for _, c := range in.Components {
		r := layer.Release{
			PURL: c.Purl, Artifact: c.Artifact, Publisher: c.Publisher, Credential: c.Credential, Label: c.Label, Approved: c.Approved,
			Approver: c.Approver, Recalled: c.Recalled, ByContent: c.Grounds == "content",
		}
		if c.Published != nil {
			r.Published = c.Published.AsTime()
		}
		purls = append(purls, c.Purl)
		out.Releases[c.Purl] = r
	}
	return out, purls
}

func partOf(in *fleetv1.LayerFiles, purls []string) (layer.Part, error) {
	diffID, err := digest.Parse(in.DiffId)
	if err != nil {
		return layer.Part{}, err
	}
	out := layer.Part{DiffID: diffID, Files: make([]layer.File, 0, len(in.Files))}
	for _, f := range in.Files {
		file := layer.File{Path: f.Path}
		if copy(file.SHA256[:], f.Sha256) != len(file.SHA256) {
			continue // a folder or a link: it has no content
		}
		if f.Component >= 0 && int(f.Component) < len(purls) {
			file.Component = purls[f.Component]
		}
		out.Files = append(out.Files, file)
	}
	return out, nil
}
