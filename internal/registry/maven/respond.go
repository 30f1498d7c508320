package maven

import (
	"encoding/base64"
	"net/http"
	"strings"

	"github.com/hullmark/hullmark/internal/evidence"
	"github.com/hullmark/hullmark/internal/fault"
	"github.com/hullmark/hullmark/internal/registry"
)

// credential turns the Portal's form of a credential, "Bearer base64(user:password)", into Basic.
// Source: central.sonatype.org, "Publishing By Using the Portal Publisher API".
func credential(r *http.Request) string {
	header := r.Header.Get("Authorization")
	scheme, value, _ := strings.Cut(header, " ")
	if !strings.EqualFold(scheme, "Bearer") && !strings.EqualFold(scheme, "UserToken") {
		return header
	}
	pair, err := base64.StdEncoding.DecodeString(value)
	if err != nil || !strings.Contains(string(pair), ":") {
		return header
	}
	return "Basic " + value
}

// fail answers a request that ended with err. mvn prints the reason phrase and not the body, so the
// sentence goes into both; what is merely not there, which mvn asks for all the time, gets a plain 404.
func (r *Registry) fail(w http.ResponseWriter, req *http.Request, err error) {
	err = unaskable(err)
	f := fault.As(err)
	status := fault.HTTPStatus(err)
	if status == http.StatusUnprocessableEntity {
		status = http.StatusBadRequest // what repositories answer when a checksum does not hold
	}
	text := f.Code + ": " + f.Text + "\n"
	switch f.Kind {
	case fault.NotFound:
		if f.Code == "version-withdrawn" {
			break
		}
		registry.Answer(w, status, plainText, []byte(text))
		return
	case fault.Unauthenticated:
		// Clients send what they have only when they are asked for it.
		w.Header().Set("Www-Authenticate", `Basic realm="Hullmark"`)
	}
	registry.WriteReason(w, req, status, f.Text, plainText, text)
}

const plainText = "text/plain; charset=utf-8"

// unaskable turns the question for a second factor into a refusal: mvn takes a 401 for a question about
// its password, and has nothing else to send.
func unaskable(err error) error {
	if !evidence.NeedsFactor(err) {
		return err
	}
	return fault.New(fault.Denied, "factor-unaskable",
		"this needs a second factor, which Maven clients cannot ask for; publish from a pipeline by a trusted publisher, or with a token that may pass without: hullmark token create --bypass-2fa").Because(err)
}

func methodNotAllowed(method string) error {
	return fault.New(fault.Unsupported, "method-not-allowed", "a Maven repository takes GET, HEAD and PUT here, not %s", fault.Clip(method))
}
