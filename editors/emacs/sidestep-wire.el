;;; sidestep-wire.el --- Two gaps of jsonrpc.el, closed  -*- lexical-binding: t; -*-

;; SPDX-License-Identifier: Apache-2.0

;;; Commentary:

;; The jsonrpc.el of Emacs 28 loses messages in two ways, and no message of a
;; run may be lost:
;;
;; - `jsonrpc-request' leaves the process filter by a throw when its answer has
;;   come.  What was read together with the answer stays unread until something
;;   else arrives, which after the end of a run is never.
;; - Its parser refuses \\u0000, which outputs of steps may hold, and the message
;;   is dropped.  It is read as U+2400, the picture of a null, which is escaped
;;   in as many bytes and can be seen.
;;
;; Both are mended around the filter of the process, with public functions.

;;; Code:

(require 'subr-x)

(defun sidestep-wire-mend (process)
  "Lose nothing of what PROCESS, the server of a jsonrpc connection, sends."
  (add-function :around (process-filter process) #'sidestep-wire--read))

(defun sidestep-wire--read (filter process text)
  "Have FILTER read TEXT of PROCESS, with nulls that can be parsed.
When it is left by a throw, have it read on as soon as that is over."
  (let ((whole nil))
    (unwind-protect
        (progn
          (funcall filter process (sidestep-wire--pass process text))
          (setq whole t))
      (unless whole
        (run-with-timer 0 nil #'sidestep-wire--read-on process)))))

(defun sidestep-wire--read-on (process)
  "Read what is left in the buffer of PROCESS."
  (when (buffer-live-p (process-buffer process))
    (funcall (process-filter process) process "")))

(defconst sidestep-wire--cut
  (rx (or bos (not "\\")) (* "\\\\") (group "\\" (? "u" (** 0 3 "0"))) eos)
  "The beginning of what may be an escaped null, at the end of a text.")

(defun sidestep-wire--pass (process text)
  "TEXT, read from PROCESS after what was kept, with its nulls replaced.
The beginning of an escape is kept until the rest has come; no message ends so."
  (let* ((text (concat (process-get process 'sidestep-kept) text))
         (cut (and (string-match sidestep-wire--cut text) (match-beginning 1))))
    (process-put process 'sidestep-kept (and cut (substring text cut)))
    (sidestep-wire--without-nulls (if cut (substring text 0 cut) text))))

(defun sidestep-wire--without-nulls (text)
  "TEXT, part of JSON, with each escaped null replaced."
  (if (not (string-search "\\u0000" text))
      text
    ;; Escapes are taken one after the other: a backslash may itself be escaped.
    (replace-regexp-in-string (rx "\\" (or "u0000" anychar))
                              (lambda (escape) (if (equal escape "\\u0000") "\\u2400" escape))
                              text t t)))

(provide 'sidestep-wire)
;;; sidestep-wire.el ends here
