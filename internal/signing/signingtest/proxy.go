package signingtest

import (
	"bufio"
	"bytes"
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
	files TUF
	ca    []byte // PEM
	cert  tls.Certificate
}

// NewProxy returns a proxy that serves a repository.
func NewProxy(now time.Time, files TUF) (*Proxy, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "signingtest proxy"}, DNSNames: []string{tufHost},
		NotBefore: now.Add(-time.Hour), NotAfter: now.Add(24 * time.Hour), BasicConstraintsValid: true, IsCA: true,
		KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	cert, err := certificate(template, template, &key.PublicKey, key)
	if err != nil {
		return nil, err
	}
	return &Proxy{
		files: files, ca: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert.Raw}),
		cert: tls.Certificate{Certificate: [][]byte{cert.Raw}, PrivateKey: key},
	}, nil
}

// CA is the authority that the client must be given, in PEM.
func (p *Proxy) CA() []byte { return p.ca }

// ServeHTTP implements http.Handler: CONNECT to a host that it answers for.
func (p *Proxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodConnect || r.Host != tufHost+":443" {
		http.Error(w, "this proxy answers for "+tufHost+" only", http.StatusForbidden)
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
	p.answer(tls.Server(early{conn, buffered.Reader}, &tls.Config{Certificates: []tls.Certificate{p.cert}}))
}

// answer serves the requests of one connection until the client closes it.
func (p *Proxy) answer(conn net.Conn) {
	in := bufio.NewReader(conn)
	for {
		req, err := http.ReadRequest(in)
		if err != nil {
			return
		}
		resp := &http.Response{ProtoMajor: 1, ProtoMinor: 1, StatusCode: http.StatusNotFound, Header: http.Header{}}
		if body, ok := p.files[strings.TrimPrefix(req.URL.Path, "/")]; ok {
			resp.StatusCode, resp.ContentLength, resp.Body = http.StatusOK, int64(len(body)), io.NopCloser(bytes.NewReader(body))
		}
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
