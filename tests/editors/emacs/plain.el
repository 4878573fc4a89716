;;; plain.el --- Eglot without the package  -*- lexical-binding: t; -*-

;; What a person has in their init file stands in the file JOURNEY_INIT.

(require 'cl-lib)
(require 'python)
(require 'eglot)
(require 'flymake)
(load (getenv "JOURNEY_INIT") nil t t)

(with-current-buffer (find-file-noselect ".sidestep/workflows/wrong.py")
  (let ((eglot-sync-connect t)) (call-interactively #'eglot))
  (let ((deadline (+ (float-time) 30)) found)
    (while (and (not found) (< (float-time) deadline))
      (accept-process-output nil 0.02)
      (flymake-start)
      (setq found (cl-find-if (lambda (each) (string-match-p "needs an id" (flymake-diagnostic-text each)))
                              (flymake-diagnostics))))
    (message "SAID %s" (flymake-diagnostic-text found))
    (dolist (action (eglot-code-actions (flymake-diagnostic-beg found) (flymake-diagnostic-end found)))
      (message "SAID action: %s" (plist-get action :title)))))
