package evidence

import "github.com/hullmark/hullmark/internal/fault"

// NeedsFactor reports whether err only says that a second factor is missing: the actor holds the
// right otherwise. Whoever asks what somebody may see, and not whether they may act, takes it for yes.
func NeedsFactor(err error) bool {
	if err == nil {
		return false
	}
	switch fault.As(err).Code {
	case "otp-required", "webauthn-required", "factor-missing":
		return true
	}
	return false
}
