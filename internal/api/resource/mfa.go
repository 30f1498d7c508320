package resource

import "time"

// OTPHeader is the request header that carries a one-time code, a recovery code or the proof of a
// finished challenge.
const OTPHeader = "Hullmark-Otp"

// StepUpProof is what a waiting client gets; Token is empty until a person has confirmed.
type StepUpProof struct {
	Token string `json:"token,omitempty"`
}

// Factors is what an account can prove itself by beside its password and tokens.
type Factors struct {
	TOTP          bool       `json:"totp"`
	TOTPSince     *time.Time `json:"totpSince,omitempty"`
	Passkeys      []Passkey  `json:"passkeys"`
	RecoveryCodes int        `json:"recoveryCodes"` // not used yet
	// FrozenUntil is when the account may publish again.
	FrozenUntil *time.Time `json:"frozenUntil,omitempty"`
}

// Passkey is a WebAuthn credential.
type Passkey struct {
	ID       string     `json:"id"`
	Label    string     `json:"label"`
	Created  time.Time  `json:"created"`
	LastUsed *time.Time `json:"lastUsed,omitempty"`
}

// NewTOTP is the secret of an authenticator app that is not confirmed yet.
type NewTOTP struct {
	Secret string `json:"secret"`
	URI    string `json:"uri"`
}

// Code is a one-time code.
type Code struct {
	Code string `json:"code"`
}

// RecoveryCodes are shown once.
type RecoveryCodes struct {
	Codes []string `json:"codes"`
}

// MFARule asks for a second factor.
type MFARule struct {
	Organisation string `json:"organisation,omitempty"`
	Ecosystem    string `json:"ecosystem,omitempty"`
	Namespace    string `json:"namespace,omitempty"`
	Package      string `json:"package,omitempty"`
	Action       string `json:"action"`
	Level        string `json:"level"`
	Automation   bool   `json:"automation"`
}

// NewMFARule sets a rule on what the path names; level none removes it.
type NewMFARule struct {
	Action     string `json:"action"`
	Level      string `json:"level"`
	Automation bool   `json:"automation,omitempty"`
}
