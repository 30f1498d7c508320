package tracetest

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/hullmark/hullmark/internal/digest"
	"github.com/hullmark/hullmark/internal/evidence"
	"github.com/hullmark/hullmark/internal/purl"
)

// Builder collects drafts. It keeps the first error, which [Builder.Append] returns, so that a
// world reads as a list of what is in it. It is for one goroutine.
type Builder struct {
	ctx    context.Context
	record *evidence.Record
	drafts []evidence.Draft
	err    error
}

// NewBuilder returns a builder of statements in record.
func NewBuilder(ctx context.Context, record *evidence.Record) *Builder {
	return &Builder{ctx: ctx, record: record}
}

// Append takes what was built so far into the record, in one transaction.
func (b *Builder) Append() error {
	if b.err == nil && len(b.drafts) > 0 {
		_, b.err = b.record.Append(b.ctx, nil, b.drafts...)
		b.drafts = b.drafts[:0]
	}
	return b.err
}

// Pending returns how many statements wait for Append.
func (b *Builder) Pending() int { return len(b.drafts) }

// By returns the actor that account is when it uses its token.
func By(account string) evidence.Actor {
	return evidence.Actor{Account: account, Credential: "token:tok_" + account, Method: "token", AddressHash: "addr-" + account}
}

// Digest names made-up content.
func Digest(content string) digest.Digest { return digest.FromBytes([]byte(content)) }

// Files are files by path, each standing for made-up content of size bytes.
func Files(paths map[string]string, size int64) []evidence.File {
	var out []evidence.File
	for path, content := range paths {
		out = append(out, evidence.File{Path: path, Size: size, Mode: 0o644, SHA256: Digest(content)})
	}
	slices.SortFunc(out, func(a, b evidence.File) int { return strings.Compare(a.Path, b.Path) })
	return out
}

func (b *Builder) add(s evidence.Subject, p evidence.Predicate, by evidence.Actor) {
	b.drafts = append(b.drafts, evidence.Draft{
		Subjects: []evidence.Subject{s}, Predicate: p, Issuer: by.Issuer(), Assurance: evidence.Authenticated,
	})
}

func (b *Builder) inventory(inv *evidence.Inventory) digest.Digest {
	d, err := b.record.StoreInventory(b.ctx, inv)
	if b.err == nil {
		b.err = err
	}
	return d
}

// Release publishes an npm version with these files, by account, and records the gate's decision.
// It returns its purl.
func (b *Builder) Release(account, name, version string, files []evidence.File) purl.PURL {
	p, d, by := purl.New(purl.NPM, name, version), Digest(name+"@"+version), By(account)
	about := evidence.About(p, d)
	b.add(about, evidence.Publication{
		Event: evidence.Published, Ecosystem: purl.NPM, Name: name, Version: version,
		Artifact: d, Size: 1000, MediaType: "application/gzip", Actor: by,
	}, by)
	b.drafts = append(b.drafts, evidence.Draft{
		Subjects:  []evidence.Subject{{Name: string(p)}},
		Predicate: evidence.Decision{Gate: "publish", Action: "publish", Verdict: "allow", Policy: "builtin/2", Actor: by},
		Issuer:    evidence.Issuer{Kind: evidence.Gate, ID: "publish"}, Assurance: evidence.Observed,
	})
	inv := b.inventory(&evidence.Inventory{Analyser: "release/1", Files: files})
	b.add(about, evidence.Contents{Of: "release", Analyser: "release/1", Inventory: inv, Files: len(files)}, by)
	return p
}

// Layer records a layer with these components and files; content makes its digests. It returns
// what an image needs to stack it.
func (b *Builder) Layer(content string, components []evidence.Component, files []evidence.File) evidence.ImageLayer {
	return b.layer(content, evidence.Inventory{Components: components, Files: files})
}

// Removal records a layer that deletes the paths and hides what lower layers have in the opaque folders.
func (b *Builder) Removal(content string, paths, opaque []string, files []evidence.File) evidence.ImageLayer {
	return b.layer(content, evidence.Inventory{Whiteouts: paths, Opaque: opaque, Files: files})
}

func (b *Builder) layer(content string, inv evidence.Inventory) evidence.ImageLayer {
	l := evidence.ImageLayer{DiffID: Digest("diff " + content), Blob: Digest("blob " + content), CreatedBy: "COPY " + content}
	inv.Analyser, inv.DiffID = "layer/1", l.DiffID
	stored := b.inventory(&inv)
	b.add(evidence.About("", l.DiffID), evidence.Contents{
		Of: "layer", Analyser: "layer/1", Inventory: stored, Components: len(inv.Components), Files: len(inv.Files), Blob: l.Blob,
	}, By("builder"))
	return l
}

// Image pushes an image into repository under tag, or under none, by account. Its digest follows from its layers.
func (b *Builder) Image(account, repository, tag string, hidden []evidence.HiddenComponent, layers ...evidence.ImageLayer) digest.Digest {
	var stack strings.Builder
	for _, l := range layers {
		stack.WriteString(string(l.DiffID))
	}
	d, by := Digest(stack.String()), By(account)
	var tags []string
	if tag != "" {
		tags = []string{tag}
	}
	about := evidence.About(purl.Image(repository, string(d)), d)
	b.add(about, evidence.Publication{
		Event: evidence.Published, Ecosystem: purl.OCI, Name: repository, Version: string(d), Tags: tags,
		Artifact: d, Size: 500, MediaType: "application/vnd.oci.image.manifest.v1+json", Actor: by,
	}, by)
	b.add(about, evidence.Contents{Of: "image", Layers: layers, Hidden: hidden, Platform: "linux/amd64"}, by)
	return d
}

// Index publishes an index of manifests under a tag.
func (b *Builder) Index(account, repository, tag string, manifests ...digest.Digest) {
	d := Digest(fmt.Sprint(repository, ":", tag, manifests))
	p, actor := purl.Image(repository, string(d)), By(account)
	b.add(evidence.About(p, d), evidence.Publication{
		Event: evidence.Published, Ecosystem: purl.OCI, Name: repository, Version: string(d), Tags: []string{tag},
		Artifact: d, MediaType: "application/vnd.oci.image.index.v1+json", Actor: actor,
	}, actor)
	b.add(evidence.About(p, d), evidence.Contents{Of: "index", Manifests: manifests}, actor)
}

// Components are components of these purls, each declared in a folder of its own.
func Components(purls ...purl.PURL) []evidence.Component {
	out := make([]evidence.Component, len(purls))
	for i, p := range purls {
		_, name, _ := p.Split()
		out[i] = evidence.Component{PURL: p, Path: "app/node_modules/" + name + "/package.json"}
	}
	return out
}
