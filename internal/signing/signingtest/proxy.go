package signingtest

import (
	"bufio"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"time"
)

// tufHost is where npm's client looks for trusted roots; it cannot be told otherwise.
// Source: @sigstore/tuf, index.js, DEFAULT_MIRROR_URL.
const tufHost = "tuf-repo-cdn.sigstore.dev"

// Proxy is an HTTP proxy that answers for the public Sigstore's hosts itself, ending TLS with a
// certificate authority of its own, and refuses every other. An unmodified npm that is pointed at it
// (HTTPS_PROXY, NODE_EXTRA_CA_CERTS) trusts what the repository says.
type Proxy struct {
	hosts map[string]http.Handler
	ca    []byte // PEM
	cert  tls.Certificate
}

// NewProxy returns a proxy that serves a repository, and the services of an authority, with which npm
// makes a provenance itself.
func NewProxy(now time.Time, files TUF, a *Authority) (*Proxy, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "signingtest proxy"}, DNSNames: []string{tufHost, fulcioHost, rekorHost},
		NotBefore: now.Add(-time.Hour), NotAfter: now.Add(24 * time.Hour), BasicConstraintsValid: true, IsCA: true,
		KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	cert, err := certificate(template, template, &key.PublicKey, key)
	if err != nil {
		return nil, err
	}
	ca, log := http.NewServeMux(), http.NewServeMux()
	ca.HandleFunc("POST /api/v2/signingCert", a.issue)
	log.HandleFunc("POST /api/v1/log/entries", a.log)
	return &Proxy{
		hosts: map[string]http.Handler{tufHost: files, fulcioHost: ca, rekorHost: log},
		ca:    pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert.Raw}),
		cert:  tls.Certificate{Certificate: [][]byte{cert.Raw}, PrivateKey: key},
	}, nil
}

// CA is the authority that the client must be given, in PEM.
func (p *Proxy) CA() []byte { return p.ca }

// ServeHTTP implements http.Handler: CONNECT to a host that it answers for.
func (p *Proxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	handler := p.hosts[strings.TrimSuffix(r.Host, ":443")]
	if r.Method != http.MethodConnect || handler == nil {
		http.Error(w, "this proxy does not answer for "+r.Host, http.StatusForbidden)
		return
	}
	conn, buffered, err := http.NewResponseController(w).Hijack()
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	defer conn.Close()
	if _, err := conn.Write([]byte("HTTP/1.1 200 Connection established\r\n\r\n")); err != nil {
		return
	}
	answer(tls.Server(early{conn, buffered.Reader}, &tls.Config{Certificates: []tls.Certificate{p.cert}}), handler)
}

// answer serves the requests of one connection until the client closes it.
func answer(conn net.Conn, handler http.Handler) {
	in := bufio.NewReader(conn)
	for {
		req, err := http.ReadRequest(in)
		if err != nil {
			return
		}
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, req)
		_, _ = io.Copy(io.Discard, req.Body) // what the handler left would be the next request
		resp := w.Result()
		resp.ContentLength = int64(w.Body.Len())
		if resp.Write(conn) != nil {
			return
		}
	}
}

// early is a connection of which some bytes were read before.
type early struct {
	net.Conn
	read io.Reader
}

// Read implements net.Conn.
func (e early) Read(b []byte) (int, error) { return e.read.Read(b) }
