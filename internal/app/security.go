package app

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/hullmark/hullmark/internal/fault"
)

// securityMount is where people look for whom to tell of a vulnerability. Source: RFC 9116, section 3.
const securityMount = "GET /.well-known/security.txt"

// contactAge is how long the file may be kept. RFC 9116 section 2.5.5 recommends less than a year.
const contactAge = 90 * 24 * time.Hour

// checkContact makes the contact the URI that RFC 9116 section 2.5.3 asks for: an address becomes mailto:.
// Code: contact-invalid.
func (c *Config) checkContact() error {
	if c.Contact == "" && c.Rules == "" {
		return nil
	}
	if strings.Contains(c.Contact, "@") && !strings.Contains(c.Contact, ":") {
		c.Contact = "mailto:" + c.Contact
	}
	if !uri(c.Contact, "mailto", "https", "tel") {
		return fault.New(fault.Invalid, "contact-invalid", "%q is no contact; name a mail address, or a page as https://…", c.Contact)
	}
	if c.Rules != "" && !uri(c.Rules, "https") {
		return fault.New(fault.Invalid, "contact-invalid", "%q is no page with the rules; name it as https://…", c.Rules)
	}
	return nil
}

func uri(text string, schemes ...string) bool {
	u, err := url.Parse(text)
	if err != nil || strings.ContainsAny(text, "\r\n \t") {
		return false
	}
	for _, scheme := range schemes {
		if u.Scheme == scheme && (u.Host != "" || u.Opaque != "") {
			return true
		}
	}
	return false
}

// serveSecurity answers GET /.well-known/security.txt, to anyone, where a contact is configured.
func (s *Server) serveSecurity(w http.ResponseWriter, _ *http.Request) {
	c := s.app.Config
	h := w.Header()
	h.Set("Content-Type", "text/plain; charset=utf-8")
	h.Set("X-Content-Type-Options", "nosniff")
	if c.Contact == "" {
		w.WriteHeader(http.StatusNotFound)
		fmt.Fprintln(w, "no contact is configured; the operator names one with --security-contact")
		return
	}
	fmt.Fprintf(w, "Contact: %s\nExpires: %s\nCanonical: %s/.well-known/security.txt\nPreferred-Languages: en\n",
		c.Contact, c.Clock.Now().Add(contactAge).UTC().Format(time.RFC3339), s.URL)
	if c.Rules != "" {
		fmt.Fprintf(w, "Policy: %s\n", c.Rules)
	}
}
