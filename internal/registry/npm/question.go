package npm

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"io"
	"net/http"

	"github.com/hullmark/hullmark/internal/fault"
	"github.com/hullmark/hullmark/internal/purl"
	"github.com/hullmark/hullmark/internal/registry"
)

const (
	// maxAudit bounds what one audit may ask about, in bytes of unpacked JSON.
	maxAudit = 16 << 20
	// maxTree is how deep the dependencies of a quick audit may nest.
	maxTree = 500
	// maxAuditing is how many audits are read at a time: anybody may send one, and 16 KB of gzip
	// unpack to 16 MB.
	maxAuditing = 4
)

// question is what an audit asks about, as far as there is an answer: of everything that is neither recalled nor
// known to be vulnerable it keeps nothing but the count.
type question struct {
	recalled map[string][]registry.Recall
	known    func(name string) bool // whether there is an advisory about any version
	wanted   map[string][]string    // versions by name
	total    int
}

// readAudit reads an audit's body, which npm compresses, with read. A place is taken only when the
// body is here as it was sent, so that nobody holds one by sending slowly.
func (r *Registry) readAudit(w http.ResponseWriter, req *http.Request, read func(*question, *json.Decoder) error) (*question, error) {
	recalled, err := r.recalled(req.Context())
	if err != nil {
		return nil, err
	}
	sent, err := io.ReadAll(http.MaxBytesReader(w, req.Body, maxAudit))
	if err != nil {
		return nil, unreadableAudit(err)
	}
	select {
	case r.auditing <- struct{}{}:
		defer func() { <-r.auditing }()
	case <-req.Context().Done():
		return nil, req.Context().Err()
	}
	body := io.Reader(bytes.NewReader(sent))
	if req.Header.Get("Content-Encoding") == "gzip" {
		z, err := gzip.NewReader(body)
		if err != nil {
			return nil, fault.New(fault.Invalid, "body-malformed", "the request says that it is gzip and is not").Because(err)
		}
		body = http.MaxBytesReader(w, z, maxAudit)
	}
	q := &question{recalled: recalled, wanted: map[string][]string{}}
	q.known = func(name string) bool { return r.core.Vulnerabilities().Mark(purl.NPM, name) != "" }
	if err := read(q, json.NewDecoder(body)); err != nil {
		return nil, unreadableAudit(err)
	}
	return q, nil
}

func unreadableAudit(err error) error {
	if _, tooLarge := errors.AsType[*http.MaxBytesError](err); tooLarge {
		return fault.New(fault.TooLarge, "body-too-large", "the request is larger than the %d bytes that are taken here", maxAudit)
	}
	return fault.New(fault.Invalid, "body-malformed", "the request's body is not the JSON that was expected here").Because(err)
}

func (q *question) concerns(name string) bool { return q.recalled[name] != nil || q.known(name) }

// list reads {"name": ["1.0.0", …], …}.
func (q *question) list(dec *json.Decoder) error {
	return members(dec, func(name string) error {
		q.total++
		if !q.concerns(name) {
			return pass(dec)
		}
		var versions []string
		err := dec.Decode(&versions)
		q.wanted[name] = append(q.wanted[name], versions...)
		return err
	})
}

// tree reads the part of a lock file that names what is installed:
// {"dependencies": {"name": {"version": "1.0.0", "dependencies": {…}}}}.
func (q *question) tree(dec *json.Decoder) error { return q.node(dec, "", 0) }

func (q *question) node(dec *json.Decoder, name string, depth int) error {
	if depth > maxTree {
		return errors.New("the dependencies nest too deep")
	}
	return members(dec, func(key string) error {
		switch key {
		case "version":
			var version string
			err := dec.Decode(&version)
			if q.concerns(name) {
				q.wanted[name] = append(q.wanted[name], version)
			}
			return err
		case "dependencies":
			return members(dec, func(child string) error {
				q.total++
				return q.node(dec, child, depth+1)
			})
		}
		return pass(dec)
	})
}

// members calls each with every key of the object that comes next; each reads the value. null is an
// object without members.
func members(dec *json.Decoder, each func(key string) error) error {
	open, err := dec.Token()
	if err != nil || open == nil {
		return err
	}
	if open != json.Delim('{') {
		return errors.New("an object was expected")
	}
	for dec.More() {
		key, err := dec.Token()
		if err != nil {
			return err
		}
		name, _ := key.(string) // the decoder has seen to it
		if err := each(name); err != nil {
			return err
		}
	}
	_, err = dec.Token()
	return err
}

// pass reads a value and forgets it.
func pass(dec *json.Decoder) error {
	var value json.RawMessage
	return dec.Decode(&value)
}
