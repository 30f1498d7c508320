package upstream

import (
	"context"
	"errors"
	"net/http"

	"github.com/hullmark/hullmark/internal/digest"
	"github.com/hullmark/hullmark/internal/evidence"
	"github.com/hullmark/hullmark/internal/fault"
	"github.com/hullmark/hullmark/internal/registry"
)

// Serve implements [registry.Upstream].
func (c *Client) Serve(w http.ResponseWriter, r *http.Request, actor evidence.Actor, name string, wanted registry.Wanted) error {
	ctx := r.Context()
	ecosystem, _, _ := wanted.PURL.Split()
	if err := c.mayAsk(ctx, ecosystem, name); err != nil {
		return err
	}
	if wanted.Keep != nil {
		f, err := c.fly(ecosystem, name, wanted)
		if err != nil {
			return err
		}
		return c.follow(w, r, f, wanted)
	}
	if !wanted.Kept { // the listing may be older than the first fetch
		if err := c.lookUp(ctx, ecosystem, name, &wanted); err != nil {
			return err
		}
	}
	if err := c.core.MayDownload(ctx, actor, ecosystem, name, wanted.Release); err != nil {
		return err
	}
	if wanted.Kept {
		err := c.serveKept(w, r, wanted)
		if fault.As(err).Code != "blob-unknown" {
			return err
		}
		c.log.Warn("a kept file is gone and is fetched again", "release", wanted.PURL, "artifact", wanted.Artifact)
	}
	f, err := c.fly(ecosystem, name, wanted)
	if err != nil {
		return err
	}
	return c.follow(w, r, f, wanted)
}

// Fetch makes sure that a listed file is kept, and returns its digest. It is for an adapter that has to read
// a file itself; who gets it is the caller's question.
func (c *Client) Fetch(ctx context.Context, name string, wanted registry.Wanted) (digest.Digest, error) {
	ecosystem, _, _ := wanted.PURL.Split()
	if err := c.mayAsk(ctx, ecosystem, name); err != nil {
		return "", err
	}
	if wanted.Keep != nil {
		if size, err := c.core.Blobs().Stat(ctx, wanted.Artifact); err == nil {
			return wanted.Artifact, wanted.Keep(ctx, wanted.Artifact, size)
		}
	} else if err := c.lookUp(ctx, ecosystem, name, &wanted); err != nil {
		return "", err
	}
	if wanted.Kept {
		if same, err := c.describes(ctx, wanted.Listed, wanted.Artifact); err == nil {
			if !same {
				err = registry.UpstreamChanged(wanted.PURL)
			}
			return wanted.Artifact, err
		}
	}
	f, err := c.fly(ecosystem, name, wanted)
	if err != nil {
		return "", err
	}
	select {
	case <-ctx.Done():
		return "", ctx.Err()
	case <-f.ended:
		return f.artifact, f.err
	}
}

// lookUp fills in what the record knows of a wanted file.
func (c *Client) lookUp(ctx context.Context, ecosystem, name string, wanted *registry.Wanted) error {
	kept, err := c.core.Kept(ctx, ecosystem, name, wanted.Version, wanted.File)
	if fault.KindOf(err) == fault.NotFound {
		return nil
	}
	if err == nil {
		wanted.Fill(kept)
	}
	return err
}

// serveKept sends the stored bytes.
func (c *Client) serveKept(w http.ResponseWriter, r *http.Request, wanted registry.Wanted) error {
	same, err := c.describes(r.Context(), wanted.Listed, wanted.Artifact)
	if err != nil {
		return err
	}
	if !same {
		c.log.Warn("an upstream changed a file that is kept", "release", wanted.PURL, "url", wanted.URL, "artifact", wanted.Artifact)
		return registry.UpstreamChanged(wanted.PURL)
	}
	setHeader(w.Header(), wanted)
	return c.core.ServeBlob(w, r, wanted.Artifact, wanted.Published, w.Header().Get("Content-Type"))
}

func setHeader(h http.Header, wanted registry.Wanted) {
	contentType := wanted.ContentType
	if contentType == "" {
		contentType = "application/octet-stream"
	}
	h.Set("Content-Type", contentType)
	h.Set("X-Content-Type-Options", "nosniff")
	if h.Get("Cache-Control") == "" {
		// Only the caller may keep it: a shared cache would go on serving a release that was recalled.
		h.Set("Cache-Control", "private, max-age=31536000, immutable")
	}
}

// fly returns the fetch of a file that is under way, or begins it.
func (c *Client) fly(ecosystem, name string, wanted registry.Wanted) (*flight, error) {
	key := ecosystem + " " + name + " " + wanted.Version + " " + wanted.File
	c.mu.Lock()
	defer c.mu.Unlock()
	if f := c.flights[key]; f != nil {
		return f, nil
	}
	src, address, ok := c.locate(ecosystem, wanted.URL)
	if !ok {
		return nil, fault.New(fault.Unavailable, "upstream-host",
			"%s is at %s, which is not among the hosts of the upstream; whoever runs this registry can name it there", wanted.PURL, fault.Clip(wanted.URL))
	}
	if err := c.ctx.Err(); err != nil {
		return nil, err
	}
	f := newFlight()
	c.flights[key] = f
	c.owned.Go(func() {
		f.end(c.fetchOnce(c.ctx, f, src, address, name, wanted))
		c.mu.Lock()
		defer c.mu.Unlock()
		delete(c.flights, key)
	})
	return f, nil
}

// fetchOnce is fetch, but for who looked just before another one's fetch had ended.
func (c *Client) fetchOnce(ctx context.Context, f *flight, src *source, address, name string, wanted registry.Wanted) (digest.Digest, error) {
	if !wanted.Kept && wanted.Keep == nil {
		ecosystem, _, _ := wanted.PURL.Split()
		now := wanted
		if err := c.lookUp(ctx, ecosystem, name, &now); err != nil {
			return "", err
		}
		if now.Kept {
			return now.Artifact, nil
		}
	}
	return c.fetch(ctx, f, src, address, name, wanted)
}

// locate finds the upstream that a listed address belongs to.
func (c *Client) locate(ecosystem, ref string) (*source, string, bool) {
	for _, src := range c.sources[ecosystem] {
		if u, ok := src.resolve(ref); ok {
			return src, u.String(), true
		}
	}
	return nil, "", false
}

// maxHeld is the longest file that is not sent before it was checked, in bytes.
const maxHeld = 1 << 20

// follow sends a file while it arrives. The last byte waits until the file was checked and is on the record; what
// ends otherwise ends the connection, so that nobody takes it for whole.
func (c *Client) follow(w http.ResponseWriter, r *http.Request, f *flight, wanted registry.Wanted) error {
	if r.Method == http.MethodHead || r.Header.Get("Range") != "" {
		return c.afterwards(w, r, f, wanted)
	}
	select {
	case <-r.Context().Done():
		return r.Context().Err()
	case <-f.begun:
	case <-f.ended:
		return c.afterwards(w, r, f, wanted)
	}
	if f.length >= 0 && f.length <= maxHeld {
		return c.afterwards(w, r, f, wanted) // it costs no time to speak of, and a refusal has a reason then
	}
	spool, err := f.open()
	if err != nil {
		return c.afterwards(w, r, f, wanted)
	}
	defer spool.Close()
	setHeader(w.Header(), wanted)
	if f.length > 0 {
		setLength(w.Header(), f.length)
	}
	err = f.copyTo(r.Context(), w, spool)
	if gone := (*sendError)(nil); errors.As(err, &gone) || r.Context().Err() != nil {
		return nil // the caller has gone; the fetch goes on
	}
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	return nil
}

// afterwards answers when the fetch has ended.
func (c *Client) afterwards(w http.ResponseWriter, r *http.Request, f *flight, wanted registry.Wanted) error {
	select {
	case <-r.Context().Done():
		return r.Context().Err()
	case <-f.ended:
	}
	if f.err != nil {
		return f.err
	}
	wanted.Artifact = f.artifact
	return c.serveKept(w, r, wanted)
}
