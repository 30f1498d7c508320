package registry

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/hullmark/hullmark/internal/digest"
	"github.com/hullmark/hullmark/internal/evidence"
	"github.com/hullmark/hullmark/internal/fault"
	"github.com/hullmark/hullmark/internal/purl"
)

// Upstream is where the names come from that are neither hosted here nor owned by anybody here. The
// upstream package implements it; an adapter without one serves what is hosted.
type Upstream interface {
	// Document returns what the ecosystem's upstream answers to a GET of path, which is relative to its base
	// address and may have a query: from the store while it is fresh, revalidated when it is not, and with
	// its age when the upstream cannot be reached. A name that is hosted or owned here is never asked for:
	// that, an upstream's 404 and an ecosystem without an upstream are NotFound with code name-unknown. An
	// upstream that fails and was never heard before is Unavailable with code upstream-unavailable.
	Document(ctx context.Context, q Question) (*Document, error)
	// Serve answers r with the bytes of a release that was listed by the upstream, after the pull gate:
	// from the store, or fetched, kept and recorded while they are sent. However many wait, it is fetched
	// once. Bytes that are not what was listed, or not what was seen first, are an Integrity fault with code
	// upstream-changed; no byte of them is acknowledged as whole.
	Serve(w http.ResponseWriter, r *http.Request, actor evidence.Actor, name string, wanted Wanted) error
}

// Question asks an upstream for a document.
type Question struct {
	Ecosystem, Name string // without a name it is about the upstream itself
	Path            string // "lodash", "simple/requests/", "org/acme/ui/maven-metadata.xml"
	Accept          string // the Accept header
	Limit           int64  // bytes
	// Have is the digest of the document that the caller has made its page from: while that is still what the
	// upstream says, the answer comes without Body, and nothing is read for it.
	Have digest.Digest
}

// Document is what an upstream said.
type Document struct {
	Body        []byte
	ContentType string
	// Base is the address that relative links in Body are relative to.
	Base string
	// Digest is that of Body: equal ones parse equal.
	Digest digest.Digest
	// Modified is when the upstream says that the document was changed last; zero when it does not say.
	Modified time.Time
	// Asked is when the upstream last said that this is what it has.
	Asked time.Time
	// Stale says that the upstream was asked since and did not answer.
	Stale bool
}

// Resolve returns the absolute address of a link in the document, or "" when it is none.
func (d *Document) Resolve(link string) string {
	base, err := url.Parse(d.Base)
	if err != nil {
		return ""
	}
	u, err := base.Parse(link)
	if err != nil {
		return ""
	}
	return u.String()
}

// Listed is a release, or a file of one, that an upstream lists. What the record knows about it is filled
// in by [Core.Listed].
type Listed struct {
	Release
	URL string // absolute: see [Document.Resolve]
	// Digests are what the upstream says that the file has, as "algorithm:hex"; sha512, sha256 and sha1 are
	// checked.
	Digests   []string
	Publisher string // who published it there, as the upstream puts it
	Kept      bool   // it was fetched before, and its bytes are here
}

// Wanted is a listed file that is to be served.
type Wanted struct {
	Listed
	ContentType string
	Accept      string // the Accept header to fetch it with; empty for none
	// Keep takes the place of the record for what is no release of its own, a layer, say: it is called when the
	// bytes are durable. Nothing else is asked about such a file, the caller has done that.
	Keep func(ctx context.Context, artifact digest.Digest, size int64) error
	// Read makes the inventory of the stored artifact, for the record; nil when there is nothing to look into.
	Read func(ctx context.Context, artifact digest.Digest) (*evidence.Inventory, error)
}

// Owners says which names somebody here owns. The account package implements it.
type Owners interface {
	// Owned reports whether the name is in a namespace that was claimed here.
	Owned(ctx context.Context, ecosystem, name string) (bool, error)
}

// WithOwners makes the core keep owned names from upstreams, hosted or not yet. It is called before the
// core is used.
func (c *Core) WithOwners(by Owners) *Core {
	c.owners = by
	return c
}

// Hosted reports whether a name is this registry's own: something was published under it here, or it is
// in a namespace that somebody here owns. Such a name is never asked for elsewhere: whoever could publish
// it there would publish it here (dependency confusion).
func (c *Core) Hosted(ctx context.Context, ecosystem, name string) (bool, error) {
	s, err := c.state(ctx, ecosystem, name)
	if err != nil || s.published || c.owners == nil {
		return s.published, err
	}
	return c.owners.Owned(ctx, ecosystem, name)
}

// Listed fills in what the record knows of what an upstream lists: which files are kept here already, what
// was recalled, what somebody exempted from the cooldown. A publication time that is in the future, or missing,
// counts from when the release was first listed here, and one that moves backwards is not believed.
func (c *Core) Listed(ctx context.Context, ecosystem, name string, all []Listed) error {
	kept, err := c.Mirrored(ctx, ecosystem, name)
	if err != nil {
		return err
	}
	known := make(map[listedKey]*Release, len(kept))
	for i, r := range kept {
		known[listedKey{r.Version, r.File}] = &kept[i]
	}
	recalled, err := c.recalledOf(ctx, ecosystem, name)
	if err != nil {
		return err
	}
	times, err := c.firstListed(ctx, ecosystem, name, all)
	if err != nil {
		return err
	}
	exempt, err := c.exempted(ctx)
	if err != nil {
		return err
	}
	for i := range all {
		l := &all[i]
		if at, ok := times[listedKey{l.Version, l.File}]; ok && (at.After(l.Published) || l.Published.After(c.now())) {
			l.Published = at
		}
		l.Approved = exempt.of(c.now(), l.PURL) != none
		if !l.Approved && c.now().Before(l.Ripe(c.upstreamCooldown)) {
			l.Approved = c.repairs(l.PURL) != ""
		}
		if r := known[listedKey{l.Version, l.File}]; r != nil {
			l.Fill(*r)
			continue
		}
		l.State, l.Recalled, l.Origin = Active, recalled[l.PURL], l.URL
	}
	return nil
}

// Fill takes over what the record knows of a file that is kept. A publication time that moved backwards since
// is not believed.
func (l *Listed) Fill(r Release) {
	l.Kept, l.Artifact, l.Size, l.State = true, r.Artifact, r.Size, r.State
	l.Recalled, l.Approved, l.Seq, l.Origin = r.Recalled, l.Approved || r.Approved, r.Seq, r.Origin
	if r.Published.After(l.Published) {
		l.Published = r.Published
	}
}

// Kept returns one file that was kept of an upstream's, or NotFound with code version-unknown.
func (c *Core) Kept(ctx context.Context, ecosystem, name, version, file string) (Release, error) {
	all, err := c.releases(ctx, `SELECT `+releaseColumns+` FROM release r JOIN package p ON p.id = r.package_id JOIN artifact a ON a.id = r.artifact_id
		WHERE p.ecosystem = $1 AND p.name = $2 AND r.version = $3 AND r.file = $4 AND r.mirrored = 1`, ecosystem, name, version, file)
	if err == nil && len(all) == 0 {
		err = versionUnknown(name, version)
	}
	if err != nil {
		return Release{}, err
	}
	return all[0], nil
}

// Mirrored returns what was kept of an upstream's versions of a name, in the order in which it was fetched.
func (c *Core) Mirrored(ctx context.Context, ecosystem, name string) ([]Release, error) {
	return c.releases(ctx, `SELECT `+releaseColumns+` FROM release r JOIN package p ON p.id = r.package_id JOIN artifact a ON a.id = r.artifact_id
		WHERE p.ecosystem = $1 AND p.name = $2 AND r.mirrored = 1 ORDER BY r.seq`, ecosystem, name)
}

// recalledOf returns the reasons of the recalls that name a version of a name, by purl.
func (c *Core) recalledOf(ctx context.Context, ecosystem, name string) (map[purl.PURL]string, error) {
	prefix := string(purl.New(ecosystem, name, "")) + "@"
	rows, err := c.record.DB().Query().QueryContext(ctx, `SELECT subject, reason FROM recall
		WHERE subject >= $1 AND subject < $2 AND `+pullRecalls, prefix, prefix[:len(prefix)-1]+"A")
	if err != nil {
		return nil, fmt.Errorf("look for recalls of %s: %w", name, err)
	}
	defer rows.Close()
	out := map[purl.PURL]string{}
	for rows.Next() {
		var p purl.PURL
		var reason string
		if err := rows.Scan(&p, &reason); err != nil {
			return nil, fmt.Errorf("look for recalls of %s: %w", name, err)
		}
		out[p] = reason
	}
	return out, rows.Err()
}

// Mirror puts on the record that a file was fetched from an upstream, with what it holds: from then on it
// is a release that any gate knows. artifact must be durable. It returns false when the file is on the
// record already, with the same bytes; other bytes are an Integrity fault with code upstream-changed.
func (c *Core) Mirror(ctx context.Context, u Upload, origin evidence.Origin) (bool, error) {
	guard := func(tx *sql.Tx) error {
		var known digest.Digest
		err := tx.QueryRowContext(ctx, `SELECT a.digest FROM release r JOIN package p ON p.id = r.package_id
			JOIN artifact a ON a.id = r.artifact_id WHERE p.ecosystem = $1 AND p.name = $2 AND r.version = $3 AND r.file = $4 AND r.mirrored = 1`,
			u.Ecosystem, u.Name, u.Version, u.File).Scan(&known)
		switch {
		case errors.Is(err, sql.ErrNoRows):
			return nil
		case err != nil:
			return fmt.Errorf("look for version: %w", err)
		case known != u.Artifact:
			return UpstreamChanged(u.PURL)
		}
		return errKept
	}
	p := publication(evidence.Actor{}, evidence.Mirrored, u).Predicate.(evidence.Publication)
	p.Origin = &origin
	gate := evidence.Issuer{Kind: evidence.Gate, ID: "pull"}
	drafts := append([]evidence.Draft{{
		Subjects: []evidence.Subject{evidence.About(u.PURL, u.Artifact)}, Predicate: p, Issuer: gate, Assurance: evidence.Observed,
	}}, u.Contents...)
	_, err := c.record.Append(ctx, guard, drafts...)
	if errors.Is(err, errKept) {
		return false, nil
	}
	return err == nil, err
}

// errKept says that a file from an upstream is on the record already.
var errKept = errors.New("it is kept already")

// SayAge tells a client of a document whose upstream does not answer: how old it is (RFC 9111, 5.1), and in a
// header of our own since when.
func SayAge(h http.Header, asked, now time.Time) {
	h.Set("Age", strconv.FormatInt(max(0, int64(now.Sub(asked)/time.Second)), 10))
	h.Set("Hullmark-Upstream", "unreachable; asked="+asked.UTC().Format(time.RFC3339))
}

// UpstreamMalformed is the refusal of a document of an upstream that cannot be read.
func UpstreamMalformed(name string, cause error) error {
	return fault.New(fault.Unavailable, "upstream-malformed",
		"what the upstream says of %q cannot be read; try again later, or tell whoever runs it", name).Because(cause)
}

// UpstreamChanged is the refusal of a file that is not what the upstream listed, or what it was when it was
// first seen.
func UpstreamChanged(p purl.PURL) error {
	return fault.New(fault.Integrity, "upstream-changed",
		"%s is not the file that was listed, or that was seen first, at its upstream; it is not served, so tell whoever runs this registry", p)
}
