package main

import (
	"bytes"
	"io"
	"net/http"
)

// exchange is one request and its reply as they were on the wire.
type exchange struct {
	Method        string `json:"method"`
	Path          string `json:"path"`
	Authorization string `json:"authorization"`
	Status        int    `json:"status"`
	ContentType   string `json:"contentType"`
	Body          string `json:"body"`
}

// recorder is the HTTP transport handed to the SDK: the SDK itself stays as it is.
type recorder struct {
	exchanges     []exchange
	authorization string // of the last write
}

func (r *recorder) RoundTrip(request *http.Request) (*http.Response, error) {
	reply, err := http.DefaultTransport.RoundTrip(request)
	if err != nil {
		return nil, err
	}
	body, err := io.ReadAll(reply.Body)
	reply.Body.Close()
	if err != nil {
		return nil, err
	}
	reply.Body = io.NopCloser(bytes.NewReader(body))
	authorization := request.Header.Get("Authorization")
	if request.Method != http.MethodGet && authorization != "" {
		r.authorization = authorization
	}
	r.exchanges = append(r.exchanges, exchange{
		Method:        request.Method,
		Path:          request.URL.RequestURI(),
		Authorization: authorization,
		Status:        reply.StatusCode,
		ContentType:   reply.Header.Get("Content-Type"),
		Body:          string(body),
	})
	return reply, nil
}

// take hands out what was recorded since it was last called.
func (r *recorder) take() []exchange {
	taken := r.exchanges
	r.exchanges = nil
	return taken
}
