package npm

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strconv"
	"time"

	"github.com/klauspost/compress/gzip"

	"github.com/hullmark/hullmark/internal/blob"
	"github.com/hullmark/hullmark/internal/digest"
	"github.com/hullmark/hullmark/internal/evidence"
	"github.com/hullmark/hullmark/internal/registry"
)

// form is one of the two forms of a packument.
type form int

const (
	full        form = iota
	abbreviated      // npm docs, "package-metadata.md": what an installer needs
)

var contentTypes = [...]string{full: "application/json", abbreviated: "application/vnd.npm.install-v1+json"}

// abbreviatedFields are the fields of a version that the abbreviated form keeps.
var abbreviatedFields = []string{
	"name", "version", "dependencies", "devDependencies", "optionalDependencies", "peerDependencies", "peerDependenciesMeta",
	"acceptDependencies", "bundleDependencies", "bin", "engines", "os", "cpu", "libc", "dist", "funding",
	"hasInstallScript", "_hasShrinkwrap", "deprecated",
}

// rendered is a document ready to be sent.
type rendered struct {
	plain, packed         []byte // packed is gzip
	plainETag, packedETag string // strong
	// lengths for the Content-Length header, as text
	plainLength, packedLength string
	// parts say where in plain each version's manifest is, so that the next revision of a large
	// package need not make all of them again.
	parts map[string]part
}

// part is a version's manifest in a rendered document. It is the same for the next revision if
// what it was made from is.
type part struct {
	metadata   digest.Digest
	deprecated string
	from, to   int // offsets in plain
}

// document returns the offer's packument in a form, rendering it the first time.
func (r *Registry) document(ctx context.Context, o *offer, f form) (*rendered, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if d := o.documents[f]; d != nil {
		return d, nil
	}
	d, err := r.render(context.WithoutCancel(ctx), o, f)
	if err == nil {
		err = d.pack()
	}
	if err != nil {
		return nil, fmt.Errorf("render %s: %w", o.name, err)
	}
	o.documents[f] = d
	grown := d.bytes()
	if old := o.former[f]; old != nil {
		o.former[f], grown = nil, grown-old.bytes()
	}
	r.offers.Grown(o, grown)
	return d, nil
}

// bytes is what the document weighs in the cache.
func (d *rendered) bytes() int64 { return int64(len(d.plain) + len(d.packed) + 150*len(d.parts)) }

// pack compresses the document and describes both forms. A large one is compressed less, because
// somebody waits for it.
func (d *rendered) pack() error {
	level := gzip.DefaultCompression
	if len(d.plain) > 1<<20 {
		level = 3
	}
	var b bytes.Buffer
	z, err := gzip.NewWriterLevel(&b, level)
	if err != nil {
		return err
	}
	if _, err := z.Write(d.plain); err != nil {
		return err
	}
	if err := z.Close(); err != nil {
		return err
	}
	d.packed = bytes.Clone(b.Bytes())
	d.plainETag, d.packedETag = etag(d.plain), etag(d.packed)
	d.plainLength, d.packedLength = strconv.Itoa(len(d.plain)), strconv.Itoa(len(d.packed))
	return nil
}

func etag(content []byte) string {
	sum := sha256.Sum256(content)
	return `"` + base64.RawURLEncoding.EncodeToString(sum[:18]) + `"`
}

// person is npm's form of a user.
type person struct {
	Name  string `json:"name"`
	Email string `json:"email"` // empty: nobody's address is given away; npm prints it without asking
}

// packument is the document without its versions; fields that one form does not have are left
// empty.
type packument struct {
	ID          string            `json:"_id,omitempty"`
	Rev         string            `json:"_rev,omitempty"`
	Name        string            `json:"name"`
	Description json.RawMessage   `json:"description,omitempty"`
	Modified    string            `json:"modified,omitempty"`
	Tags        map[string]string `json:"dist-tags"`
	Time        map[string]string `json:"time"`
	Maintainers []person          `json:"maintainers,omitempty"`
	Author      json.RawMessage   `json:"author,omitempty"`
	License     json.RawMessage   `json:"license,omitempty"`
	Homepage    json.RawMessage   `json:"homepage,omitempty"`
	Repository  json.RawMessage   `json:"repository,omitempty"`
	Bugs        json.RawMessage   `json:"bugs,omitempty"`
	Keywords    json.RawMessage   `json:"keywords,omitempty"`
	Readme      json.RawMessage   `json:"readme,omitempty"`
}

// render makes a packument from releases and their metadata.
func (r *Registry) render(ctx context.Context, o *offer, f form) (*rendered, error) {
	if o.whole != nil {
		if f == abbreviated {
			return o.abbreviate()
		}
		return &rendered{plain: o.whole.plain, parts: o.whole.parts}, nil
	}
	p := packument{
		Name: o.name, Tags: o.tags,
		Time: map[string]string{"created": iso(o.created), "modified": iso(o.modified)},
	}
	for _, rel := range o.releases {
		p.Time[rel.Version] = iso(rel.Published)
	}
	if f == abbreviated {
		p.Modified = iso(o.modified)
	} else {
		p.ID, p.Rev, p.Maintainers = o.name, o.rev(), o.maintainers()
		if err := r.describe(ctx, o, &p); err != nil {
			return nil, err
		}
	}
	return o.compose(f, p, func(rel registry.Release) ([]byte, error) {
		m, err := r.manifest(ctx, o.name, rel)
		if err != nil {
			return nil, err
		}
		delete(m, "readme")
		if f == abbreviated {
			m = m.only(abbreviatedFields)
		}
		return encode(m)
	})
}

// compose puts the versions behind the head of a document. One is made anew only when something about it has
// changed since the offer's former document.
func (o *offer) compose(f form, head any, manifest func(registry.Release) ([]byte, error)) (*rendered, error) {
	begin, err := encode(head)
	if err != nil {
		return nil, err
	}
	d := &rendered{parts: make(map[string]part, len(o.releases))}
	d.plain = append(bytes.TrimSuffix(begin, []byte("}")), `,"versions":{`...)
	for i, rel := range o.releases {
		if i > 0 {
			d.plain = append(d.plain, ',')
		}
		d.plain = append(strconv.AppendQuote(d.plain, rel.Version), ':') // a version is ASCII without quotes
		from := len(d.plain)
		raw, ok := o.former[f].part(rel)
		if !ok {
			if raw, err = manifest(rel); err != nil {
				return nil, err
			}
		}
		d.plain = append(d.plain, raw...)
		d.parts[rel.Version] = part{metadata: rel.Metadata, deprecated: rel.Deprecated, from: from, to: len(d.plain)}
	}
	d.plain = bytes.Clone(append(d.plain, "}}"...)) // without what append took in advance
	return d, nil
}

// part returns a release's manifest from a former document, if it still is the same.
func (d *rendered) part(rel registry.Release) ([]byte, bool) {
	if d == nil {
		return nil, false
	}
	p, ok := d.parts[rel.Version]
	if !ok || p.metadata != rel.Metadata || p.deprecated != rel.Deprecated {
		return nil, false
	}
	return d.plain[p.from:p.to], true
}

// describe fills in what the document says of itself: what its latest version says.
func (r *Registry) describe(ctx context.Context, o *offer, p *packument) error {
	rel, err := o.release(latest)
	if err != nil {
		return err
	}
	m, err := r.manifest(ctx, o.name, rel)
	if err != nil {
		return err
	}
	p.Description, p.Author, p.License, p.Homepage = m["description"], m["author"], m["license"], m["homepage"]
	p.Repository, p.Bugs, p.Keywords, p.Readme = m["repository"], m["bugs"], m["keywords"], m["readme"]
	return nil
}

// manifest returns the manifest of a version as it is served, with its readme.
func (r *Registry) manifest(ctx context.Context, name string, rel registry.Release) (object, error) {
	data, err := blob.Get(ctx, r.core.Blobs(), rel.Metadata)
	if err != nil {
		return nil, err
	}
	var m object
	if err := json.Unmarshal(data, &m); err != nil {
		return nil, fmt.Errorf("stored manifest %s: %w", rel.Metadata, err)
	}
	var d dist
	if err := m.decode("dist", &d); err != nil {
		return nil, err
	}
	d.Attestations = r.told(name, rel.Version, d.Attestations)
	d.Tarball = r.base + name + "/-/" + tarballFile(name, rel.Version)
	fields := map[string]any{"dist": d, "deprecated": orNil(rel.Deprecated), "_npmUser": person{Name: rel.Publisher}}
	for key, value := range fields {
		if err := m.set(key, value); err != nil {
			return nil, err
		}
	}
	return m, nil
}

// only returns the object with no more than the given fields.
func (o object) only(fields []string) object {
	out := make(object, len(fields))
	for _, f := range fields {
		if raw, ok := o[f]; ok {
			out[f] = raw
		}
	}
	return out
}

// rev is the revision that a client must name when it changes the whole document. A document that
// lacks versions only for now has another one than the whole: what a client leaves out of it would be
// taken for what it wants removed.
func (o *offer) rev() string { return fmt.Sprintf("%d-%d", o.revision, o.young) }

func (o *offer) maintainers() []person {
	people := []person{}
	for _, c := range o.owners {
		if c.Permission == evidence.Publish || c.Permission == evidence.Own {
			people = append(people, person{Name: c.User})
		}
	}
	return people
}

// iso is a time as JavaScript writes it.
func iso(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000Z") }

// encode writes v without the HTML escapes that encoding/json adds to Marshal.
func encode(v any) ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}
