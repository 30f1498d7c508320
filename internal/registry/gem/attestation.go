package gem

import (
	"io"
	"net/http"
)

// Attestations checks the Sigstore bundles that come with a gem.
type Attestations interface{}

// Trust keeps which pipelines a name trusts.
type Trust interface{}

func (p *pushed) body(req *http.Request) (io.Reader, error) { return req.Body, nil }
