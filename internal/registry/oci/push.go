package oci

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"

	"github.com/hullmark/hullmark/internal/digest"
	"github.com/hullmark/hullmark/internal/evidence"
	"github.com/hullmark/hullmark/internal/fault"
	"github.com/hullmark/hullmark/internal/purl"
	"github.com/hullmark/hullmark/internal/registry"
)

// maxTags bounds how many tags one push may set. Source: distribution-spec, end-7b: at least 10.
const maxTags = 64

// putManifest publishes a manifest under a tag, or under its digest with any number of tags
// (end-7a, 7b).
func (g *Registry) putManifest(c *call) error {
	tags, err := tagsOf(c)
	if err != nil {
		return err
	}
	body, err := g.readManifest(c)
	if err != nil {
		return err
	}
	m, err := parseManifest(c.r.Header.Get("Content-Type"), body)
	if err != nil {
		return err
	}
	d, err := identifyManifest(c, body)
	if err != nil {
		return err
	}
	if err := g.checkPresent(c.r.Context(), c.name, m); err != nil {
		return err
	}
	if err := g.store(c.r.Context(), d, body); err != nil {
		return err
	}
	hold, err := g.publish(c, m, d, int64(len(body)), tags)
	if err != nil {
		return err
	}
	warn(c, d, hold)
	return created(c, m, d, tags)
}

// tagsOf returns the tags that a push sets: the path's, or those of the query.
func tagsOf(c *call) ([]string, error) {
	if c.tag != "" {
		return []string{c.tag}, nil
	}
	tags := c.r.URL.Query()["tag"]
	if len(tags) > maxTags {
		return nil, fault.New(fault.Invalid, "tag-invalid", "a push may set %d tags at once, not %d; push the rest one by one", maxTags, len(tags))
	}
	for _, tag := range tags {
		if err := checkTag(tag); err != nil {
			return nil, err
		}
	}
	return tags, nil
}

func (g *Registry) readManifest(c *call) ([]byte, error) {
	limit := g.config.Limits.Manifest
	body, err := io.ReadAll(http.MaxBytesReader(c.w, c.r.Body, limit))
	if _, over := errors.AsType[*http.MaxBytesError](err); over {
		return nil, fault.New(fault.TooLarge, "manifest-too-large",
			"the manifest is larger than the %d bytes that this server takes; move what is large into a blob", limit)
	}
	if err != nil {
		return nil, fault.New(fault.Invalid, "upload-cut-off", "the manifest did not arrive whole; send it again").Because(err)
	}
	return body, nil
}

// identifyManifest returns the manifest's digest, which must be the path's when that names one.
func identifyManifest(c *call, body []byte) (digest.Digest, error) {
	if c.digest == "" {
		return digest.FromBytes(body), nil
	}
	h := digest.NewHash(c.digest.Algorithm())
	h.Write(body)
	if got := digest.Sum(c.digest.Algorithm(), h); got != c.digest {
		return "", fault.New(fault.Invalid, "digest-mismatch",
			"the bytes received have digest %s, not %s as announced; send them again from the start", got, c.digest)
	}
	return c.digest, nil
}

// checkPresent: what a manifest names must be in its repository, or a pull would fail half-way.
// The subject need not be: a signature may arrive before what it signs.
func (g *Registry) checkPresent(ctx context.Context, name string, m *manifest) error {
	if g.config.Sparse {
		return nil
	}
	for _, d := range m.blobs() {
		_, err := g.core.LinkedBlob(ctx, purl.OCI, name, d.Digest)
		if err := g.present(name, d, err); err != nil {
			return err
		}
	}
	for _, d := range m.Manifests {
		r, err := g.core.Release(ctx, purl.OCI, name, string(d.Digest))
		if err == nil && r.State == registry.Withdrawn {
			err = fault.New(fault.NotFound, "version-withdrawn", "%s was withdrawn by its publisher", r.PURL)
		}
		if err := g.present(name, d, err); err != nil {
			return err
		}
	}
	return nil
}

func (g *Registry) present(name string, d descriptor, err error) error {
	if err != nil && fault.KindOf(err) == fault.NotFound {
		return fault.New(fault.NotFound, "manifest-blob-unknown",
			"the manifest names %s, which %s does not have; push that first", d.Digest, name).Because(err)
	}
	return err
}

// store makes the manifest's bytes durable under d.
func (g *Registry) store(ctx context.Context, d digest.Digest, body []byte) error {
	if _, err := g.core.Blobs().Stat(ctx, d); err == nil {
		return nil
	}
	u, err := g.core.Blobs().Create(ctx)
	if err != nil {
		return err
	}
	if _, err := u.Write(body); err != nil {
		return errors.Join(err, u.Abort())
	}
	_, err = u.Commit(ctx, d)
	return err
}

// publish returns why the manifest waits for a person, if it does. Clients cannot say that they stage:
// what somebody pushes who may only stage waits.
func (g *Registry) publish(c *call, m *manifest, d digest.Digest, size int64, tags []string) (*registry.Hold, error) {
	u := registry.Upload{
		Ecosystem: purl.OCI, Name: c.name, Version: string(d), PURL: purl.Image(c.name, string(d)), Tags: tags,
		Artifact: d, Size: size, MediaType: m.MediaType, ArtifactType: m.artifactType(),
	}
	if m.Subject != nil {
		u.Subject = m.Subject.Digest
	}
	known, err := g.known(c.r.Context(), c.name, d)
	if err != nil {
		return nil, err
	}
	if u.Stage, err = g.core.MustStage(c.r.Context(), c.actor, purl.OCI, c.name); err != nil {
		return nil, err
	}
	if m.isIndex() {
		u.Contents = []evidence.Draft{describeIndex(u.PURL, m, d)}
	}
	if known || !m.isImage() {
		return g.core.Submit(c.r.Context(), c.actor, u)
	}
	draft, settled, err := g.describeSoon(c.r.Context(), c.name, m, d)
	if err != nil {
		return nil, err
	}
	if settled {
		u.Contents = []evidence.Draft{draft}
		contents := draft.Predicate.(evidence.Contents)
		u.Made = &contents
	} else if u.Made, err = g.sketch(c.r.Context(), c.name, m); err != nil {
		return nil, err
	}
	hold, err := g.core.Submit(c.r.Context(), c.actor, u)
	if err != nil || settled {
		return hold, err
	}
	g.describeLater(c.name, m, d)
	return hold, nil
}

// warn tells a client that prints warnings what the gate made of its push. The push itself has worked:
// an error would make clients try again. Source: distribution-spec 1.1, "Warnings".
func warn(c *call, d digest.Digest, h *registry.Hold) {
	var text string
	switch {
	case h.Waits():
		text = fmt.Sprintf("held: %s is not offered yet, because %s. Somebody else who may publish it approves it with: hullmark approve %s@%s",
			c.name, h.Summary, c.name, d)
	case h != nil && h.Warn:
		text = fmt.Sprintf("noted (%s): others may want to look at %s: %s", h.Code, c.name, h.Summary)
	default:
		return
	}
	c.w.Header().Set("Warning", "299 - "+strconv.QuoteToASCII(text))
}

// known reports whether the repository has, or had, the manifest: its contents were described then.
func (g *Registry) known(ctx context.Context, name string, d digest.Digest) (bool, error) {
	_, err := g.core.Release(ctx, purl.OCI, name, string(d))
	if err != nil && fault.KindOf(err) != fault.NotFound {
		return false, err
	}
	return err == nil, nil
}

func created(c *call, m *manifest, d digest.Digest, tags []string) error {
	h := c.w.Header()
	h.Set("Location", "/v2/"+c.name+"/manifests/"+string(d))
	h.Set("Docker-Content-Digest", string(d))
	if m.Subject != nil {
		h.Set("OCI-Subject", string(m.Subject.Digest))
	}
	if c.tag == "" && len(tags) > 0 {
		h.Set("OCI-Tag", strings.Join(tags, ", "))
	}
	c.w.WriteHeader(http.StatusCreated)
	return nil
}

// deleteTag removes a tag and leaves what it pointed at (end-9).
func (g *Registry) deleteTag(c *call) error {
	if err := g.core.Untag(c.r.Context(), c.actor, purl.OCI, c.name, c.tag); err != nil {
		return err
	}
	c.w.WriteHeader(http.StatusAccepted)
	return nil
}

// deleteManifest withdraws a manifest with the tags that point at it (end-9). Unlike a version
// number, the same bytes may be pushed again.
func (g *Registry) deleteManifest(c *call) error {
	err := g.core.Withdraw(c.r.Context(), c.actor, purl.OCI, c.name, string(c.digest), "deleted through the registry API")
	if err != nil {
		return err
	}
	c.w.WriteHeader(http.StatusAccepted)
	return nil
}
