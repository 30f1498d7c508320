package resource

import "time"

// Session is where somebody is signed in.
type Session struct {
	ID       string    `json:"id"`
	Method   string    `json:"method"`
	Factor   string    `json:"factor,omitempty"`
	Agent    string    `json:"agent"` // what the browser calls itself
	Created  time.Time `json:"created"`
	LastUsed time.Time `json:"lastUsed"`
}

// Email is an account's address.
type Email struct {
	Address string `json:"address,omitempty"` // verified
	Pending string `json:"pending,omitempty"` // waits for its code
}

// NewEmail asks for another address.
type NewEmail struct {
	Address string `json:"address"`
}
