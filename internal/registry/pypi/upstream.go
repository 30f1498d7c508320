package pypi

import (
	"cmp"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"golang.org/x/net/html"

	"github.com/hullmark/hullmark/internal/blob"
	"github.com/hullmark/hullmark/internal/digest"
	"github.com/hullmark/hullmark/internal/evidence"
	"github.com/hullmark/hullmark/internal/fault"
	"github.com/hullmark/hullmark/internal/purl"
	"github.com/hullmark/hullmark/internal/registry"
	"github.com/hullmark/hullmark/internal/registry/pypi/dist"
)

// maxListed is how many files an upstream's index may have.
const maxListed = 200_000

// listing is what an upstream's index says of a project. It does not change.
type listing struct {
	name   string
	digest digest.Digest
	files  []listedFile
	status statusJSON
	order  int64
	weight int64
}

type listedFile struct {
	registry.Listed
	facts
	sha256 string
}

// CacheKey, CacheRevision and CacheWeight implement registry.Cacheable.
func (l *listing) CacheKey() string     { return l.name }
func (l *listing) CacheRevision() int64 { return l.order }
func (l *listing) CacheWeight() int64   { return l.weight }

// listing asks the upstream about a project.
func (r *Registry) listing(ctx context.Context, name string) (*listing, *registry.Document, error) {
	q := registry.Question{
		Ecosystem: purl.PyPI, Name: name, Path: "simple/" + url.PathEscape(name) + "/", Limit: r.limits.Index,
		Accept: typeJSON + ", " + typeHTML + ";q=0.2, text/html;q=0.1",
	}
	known := r.listings.Get(name)
	if known != nil {
		q.Have = known.digest
	}
	doc, err := r.config.Upstream.Document(ctx, q)
	if err != nil || known != nil && known.digest == doc.Digest {
		return known, doc, err
	}
	l, err := parseIndex(name, doc)
	if err != nil {
		return nil, nil, registry.UpstreamMalformed(name, err)
	}
	l.order = doc.Asked.UnixNano()
	r.listings.Put(l)
	return l, doc, nil
}

// parseIndex reads an index in JSON or HTML. A file whose name is none, or of another project, is left out.
func parseIndex(name string, doc *registry.Document) (*listing, error) {
	l := &listing{name: name, digest: doc.Digest, weight: 500 + int64(2*len(doc.Body))}
	var found []fileJSON
	var err error
	if strings.Contains(doc.ContentType, "json") {
		var index indexJSON
		err = json.Unmarshal(doc.Body, &index)
		found, l.status = index.Files, index.Status
	} else {
		found, err = parseHTML(doc.Body)
	}
	if err == nil && len(found) > maxListed {
		err = fault.New(fault.TooLarge, "body-too-large", "an index of more than %d files", maxListed)
	}
	if err != nil {
		return nil, err
	}
	for _, f := range found {
		kind, version, ok := parseListed(name, f.Name)
		if !ok {
			continue
		}
		one := listedFile{sha256: f.Hashes["sha256"], facts: facts{RequiresPython: f.RequiresPython}}
		one.Release = registry.Release{
			Version: version, File: f.Name, PURL: purl.New(purl.PyPI, name, version), Size: f.Size, State: registry.Active,
			ArtifactType: string(kind), Unlisted: yankReason(f.Yanked), MediaType: mediaType(f.Name),
		}
		one.Published, _ = time.Parse(time.RFC3339Nano, f.Uploaded)
		one.Core = coreDigest(f.Core, f.OldCore)
		one.URL = doc.Resolve(f.URL)
		for algorithm, sum := range f.Hashes {
			one.Digests = append(one.Digests, algorithm+":"+sum)
		}
		slices.Sort(one.Digests)
		l.files = append(l.files, one)
	}
	return l, nil
}

func mediaType(file string) string {
	if strings.HasSuffix(file, dist.WheelSuffix) {
		return wheelType
	}
	return "application/octet-stream"
}

// yankReason is what the index says in place of false. Source: PEP 592.
func yankReason(said any) string {
	switch v := said.(type) {
	case string:
		return cmp.Or(v, "yanked")
	case bool:
		if v {
			return "yanked"
		}
	}
	return ""
}

// coreDigest is the SHA-256 of a file's metadata where the index tells it: without it, nobody can tell whether
// the metadata is the file's.
func coreDigest(said ...any) digest.Digest {
	for _, one := range said {
		sums, _ := one.(map[string]any)
		sum, _ := sums["sha256"].(string)
		if d, err := digest.Parse(digest.SHA256 + ":" + sum); err == nil {
			return d
		}
	}
	return ""
}

// oldSuffixes are those of source distributions that upstreams have from before .tar.gz was all.
var oldSuffixes = []string{dist.SdistSuffix, ".zip", ".tar.bz2", ".tgz", ".tar.xz"}

// parseListed tells the sort and version of a file of a project. Names of source distributions are ambiguous, so
// that the project's own name decides.
func parseListed(name, file string) (dist.Sort, string, bool) {
	if len(file) > dist.MaxFile || strings.ContainsAny(file, "/\\") {
		return "", "", false
	}
	if parts := dist.WheelForm.FindStringSubmatch(file); parts != nil {
		version, err := dist.ParseVersion(parts[2])
		return dist.Wheel, version, err == nil && dist.Normal(parts[1]) == name
	}
	for _, suffix := range oldSuffixes {
		stem, ok := strings.CutSuffix(file, suffix)
		if !ok {
			continue
		}
		for i := range stem {
			if stem[i] == '-' && dist.Normal(stem[:i]) == name {
				version, err := dist.ParseVersion(stem[i+1:])
				return dist.Sdist, version, err == nil
			}
		}
	}
	return "", "", false
}

// parseHTML reads the anchors of an index page. Source: PEP 503, 592, 629, 714.
func parseHTML(raw []byte) ([]fileJSON, error) {
	var files []fileJSON
	tokens := html.NewTokenizer(strings.NewReader(string(raw)))
	tokens.SetMaxBuf(1 << 20)
	text, open := "", false
	for {
		switch tokens.Next() {
		case html.ErrorToken:
			if tokens.Err() != io.EOF {
				return nil, tokens.Err()
			}
			return files, nil
		case html.TextToken:
			if open {
				text += string(tokens.Text())
			}
		case html.EndTagToken:
			if tag, _ := tokens.TagName(); open && string(tag) == "a" {
				files[len(files)-1].Name, open = strings.TrimSpace(html.UnescapeString(text)), false
			}
		case html.StartTagToken:
			tag, more := tokens.TagName()
			if string(tag) != "a" {
				continue
			}
			if len(files) > maxListed {
				return files, nil
			}
			text, open = "", true
			files = append(files, anchor(tokens, more))
		}
	}
}

func anchor(tokens *html.Tokenizer, more bool) fileJSON {
	f := fileJSON{Hashes: map[string]string{}}
	for more {
		var key, value []byte
		key, value, more = tokens.TagAttr()
		v := string(value)
		switch string(key) {
		case "href":
			address, fragment, _ := strings.Cut(v, "#")
			f.URL = address
			if algorithm, sum, ok := strings.Cut(fragment, "="); ok {
				f.Hashes[algorithm] = sum
			}
		case "data-requires-python":
			f.RequiresPython = v
		case "data-yanked":
			f.Yanked = v
		case "data-core-metadata", "data-dist-info-metadata":
			if algorithm, sum, ok := strings.Cut(v, "="); ok && f.Core == nil {
				f.Core = map[string]any{algorithm: sum}
			}
		}
	}
	return f
}

// upstreamProject is what an upstream's project offers here: without what is recalled, held or too young.
func (r *Registry) upstreamProject(ctx context.Context, name string, l *listing) (*project, error) {
	sieve, err := r.core.Sieve(ctx, purl.PyPI, name)
	if err != nil {
		return nil, err
	}
	all, err := r.judged(ctx, name, l.files)
	if err != nil {
		return nil, err
	}
	p := &project{name: name}
	for _, f := range all {
		if p.keep(sieve, f.Release) {
			f.Release.Artifact = "" // what is listed is said, and not what is kept
			p.files = append(p.files, file{Release: f.Release, facts: f.facts, sha256: f.sha256, url: fileURL(name, f.File)})
		}
	}
	p.until = sieve.Until
	p.arrange()
	if p.status == statusActive && l.status.Status != "" && l.status.Status != statusActive {
		p.status, p.reason = l.status.Status, l.status.Reason
	}
	return p, nil
}

// judged fills in what the record knows of listed files.
func (r *Registry) judged(ctx context.Context, name string, files []listedFile) ([]listedFile, error) {
	out := slices.Clone(files)
	listed := make([]registry.Listed, len(out))
	for i := range out {
		listed[i] = out[i].Listed
	}
	if err := r.core.Listed(ctx, purl.PyPI, name, listed); err != nil {
		return nil, err
	}
	for i := range out {
		out[i].Listed = listed[i]
	}
	return out, nil
}

// serveListed answers with a file of an upstream's, or with its metadata.
func (r *Registry) serveListed(w http.ResponseWriter, req *http.Request, actor evidence.Actor, name, want string, metadata bool) error {
	l, _, err := r.listing(req.Context(), name)
	if err != nil {
		return err
	}
	i := slices.IndexFunc(l.files, func(f listedFile) bool { return f.File == want })
	if i < 0 {
		return fault.New(fault.NotFound, "version-unknown", "%s has no file %q", name, fault.Clip(want))
	}
	all, err := r.judged(req.Context(), name, l.files[i:i+1])
	if err != nil {
		return err
	}
	f := all[0]
	wanted := registry.Wanted{Listed: f.Listed, ContentType: "application/octet-stream", Read: r.reader(name, f.Release)}
	if metadata {
		if f.Core == "" {
			return fault.New(fault.NotFound, "version-unknown", "%s has no metadata of its own; download the file", fault.Clip(want))
		}
		wanted = metadataOf(f)
	}
	return r.config.Upstream.Serve(w, req, actor, name, wanted)
}

// metadataOf is the metadata of a listed file as a file of its own. Source: PEP 658.
func metadataOf(f listedFile) registry.Wanted {
	l := f.Listed
	l.File, l.URL, l.Digests = f.File+metadataSuffix, f.URL+metadataSuffix, []string{string(f.Core)}
	l.ArtifactType, l.MediaType, l.Size, l.Kept, l.Artifact = "metadata", "text/plain", 0, false, ""
	return registry.Wanted{Listed: l, ContentType: "text/plain; charset=utf-8"}
}

// reader makes the inventory of a file once it is kept; nil where its form is not read.
func (r *Registry) reader(name string, rel registry.Release) func(context.Context, digest.Digest) (*evidence.Inventory, error) {
	kind := dist.Wheel
	if strings.HasSuffix(rel.File, dist.SdistSuffix) {
		kind = dist.Sdist
	} else if !strings.HasSuffix(rel.File, dist.WheelSuffix) {
		return nil
	}
	return func(ctx context.Context, artifact digest.Digest) (inv *evidence.Inventory, err error) {
		err = r.core.Look(ctx, artifact, func(content blob.Reader) error {
			in, err := readFile(kind, content, name, rel.Version, r.limits.Archive)
			if err == nil {
				inv = in.Inventory
			}
			return err
		})
		return inv, err
	}
}
