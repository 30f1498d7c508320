package resource

import "time"

// Publisher is a pipeline that may publish a name without a stored secret.
type Publisher struct {
	ID        string `json:"id"`
	Ecosystem string `json:"ecosystem"`
	Name      string `json:"name"`
	Provider  string `json:"provider"`
	Issuer    string `json:"issuer"`
	// Claims are what its tokens must say; Learnt what the first token told, which holds from then on.
	Claims       map[string]string `json:"claims"`
	Learnt       map[string]string `json:"learnt,omitempty"`
	Events       []string          `json:"events,omitempty"`
	Refs         []string          `json:"refs,omitempty"`
	Protected    bool              `json:"protected,omitempty"`
	Runner       string            `json:"runner,omitempty"`
	Permission   string            `json:"permission"` // publish or stage
	Organisation string            `json:"organisation"`
	Pending      bool              `json:"pending,omitempty"` // its first token claims the name
	Created      time.Time         `json:"created"`
	CreatedBy    string            `json:"createdBy"`
	LastUsed     *time.Time        `json:"lastUsed,omitempty"` // none: never
	// Flags are why an owner should look: creator-gone, former-owner, issuer-unregistered.
	Flags []string `json:"flags,omitempty"`
}

// NewPublisher asks for a publisher. Ecosystem and Name are only for one that is pending: elsewhere the path
// says them.
type NewPublisher struct {
	Ecosystem  string            `json:"ecosystem,omitempty"`
	Name       string            `json:"name,omitempty"`
	Provider   string            `json:"provider"`
	Issuer     string            `json:"issuer,omitempty"` // none: the provider's
	Claims     map[string]string `json:"claims"`
	Events     []string          `json:"events,omitempty"`
	Refs       []string          `json:"refs,omitempty"`
	Protected  bool              `json:"protected,omitempty"`
	Runner     string            `json:"runner,omitempty"`
	Permission string            `json:"permission,omitempty"` // none: publish
}

// Exchange is a provider's token to be exchanged.
type Exchange struct {
	Token string `json:"token"`
	// Digests bind the token that is made to these artifacts.
	Digests []string `json:"digests,omitempty"`
	// Single makes it good for one artifact.
	Single bool `json:"single,omitempty"`
}

// Exchanged is a token for one name, which is not shown again.
type Exchanged struct {
	Secret     string    `json:"secret"`
	Credential string    `json:"credential"`
	Publisher  string    `json:"publisher"`
	Permission string    `json:"permission"`
	Created    time.Time `json:"created"`
	Expires    time.Time `json:"expires"`
}

// Issuer is a source of identity tokens that are taken.
type Issuer struct {
	URL       string     `json:"url"`
	Provider  string     `json:"provider"`
	Builtin   bool       `json:"builtin,omitempty"`
	Default   bool       `json:"default,omitempty"`
	Internal  bool       `json:"internal,omitempty"`
	Static    bool       `json:"static,omitempty"` // its keys were given, and are not fetched
	Created   *time.Time `json:"created,omitempty"`
	CreatedBy string     `json:"createdBy,omitempty"`
}

// NewIssuer registers an issuer.
type NewIssuer struct {
	URL      string `json:"url"`
	Provider string `json:"provider"`
	Default  bool   `json:"default,omitempty"`
	Internal bool   `json:"internal,omitempty"`
	CA       string `json:"ca,omitempty"`   // PEM
	Keys     string `json:"keys,omitempty"` // a JWKS
}
