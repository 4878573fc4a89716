;;; sidestep-verbs.el --- Run, interrupt, resume, retry  -*- lexical-binding: t; -*-

;; SPDX-License-Identifier: Apache-2.0

;;; Commentary:

;; Runs are started in the background and followed by their events: Emacs has
;; no public request ids, so nothing could be withdrawn, and a request that
;; waits would end with its server.  Stopping is `workflow/interrupt'.

;;; Code:

(require 'cl-lib)
(require 'subr-x)
(require 'url-util)
(require 'sidestep-arguments)
(require 'sidestep-picture)
(require 'sidestep-run)
(require 'sidestep-server)

(defvar sidestep-list-run-function #'ignore
  "Gives the run at point, a plist, in a list of runs.")

(defun sidestep-here ()
  "The session of the folder that is meant here."
  (sidestep-session (sidestep-folder)))

(defun sidestep-runs (session statuses)
  "The newest runs of SESSION in STATUSES, a list; all of them for nil."
  (append (plist-get (sidestep-request session :workflow/list
                                       (append (list :workspaceFolder (sidestep-uri (sidestep-session-root session))
                                                     :limit 100)
                                               (and statuses (list :status (vconcat statuses)))))
                     :runs)
          nil))

(defun sidestep-read-run (session prompt statuses)
  "The id of the run at point, else of one that is chosen.
PROMPT asks for one of SESSION in STATUSES, a list."
  (or sidestep-run-id
      (plist-get (funcall sidestep-list-run-function) :runId)
      (let* ((runs (or (sidestep-runs session statuses)
                       (user-error "No run of %s is %s" (abbreviate-file-name (sidestep-session-root session))
                                   (string-join statuses " or "))))
             (named (mapcar (lambda (run)
                              (cons (format "%s %s %s %s" (or (plist-get run :label) (plist-get run :name))
                                            (plist-get run :status)
                                            (format-time-string "%F %T" (sidestep-seconds (plist-get run :createdAt)))
                                            (plist-get run :runId))
                                    (plist-get run :runId)))
                            runs)))
        (cdr (assoc (if (cdr named) (completing-read prompt named nil t nil nil (caar named)) (caar named))
                    named)))))

;;;###autoload
(defun sidestep-run (name &optional args)
  "Run the workflow script NAME with ARGS, an object, and show the run.
Interactively, ask for both.  A script that you are in is suggested."
  (interactive (sidestep-verbs--read-start))
  (let* ((session (sidestep-here))
         (tried (sidestep-try-trusted
                 session :workflow/start
                 (list :script (list :name name)
                       :args (or args (make-hash-table))
                       :mode "background"
                       :workspaceFolder (sidestep-uri (sidestep-session-root session))
                       ;; Sent again, the same request would find the same run.
                       :startKey (format "emacs-%d-%s" (emacs-pid) (format-time-string "%s.%N"))))))
    (sidestep-run-open session (plist-get (sidestep-result tried) :runId) name)))

(defun sidestep-verbs--read-start (&optional script)
  "Ask for a script, unless it is SCRIPT, and for its arguments."
  ;; The server reads files.
  (save-some-buffers nil (lambda () (derived-mode-p 'sidestep-script-mode)))
  (let* ((session (sidestep-here))
         (scripts (append (plist-get (sidestep-request
                                      session :workflow/scripts
                                      (list :workspaceFolder (sidestep-uri (sidestep-session-root session))))
                                     :scripts)
                          nil))
         (named (mapcar (lambda (script) (cons (plist-get script :name) script)) scripts))
         (here (and buffer-file-name (file-name-base buffer-file-name)))
         (completion-extra-properties
          (list :annotation-function
                (lambda (name)
                  (concat "  " (plist-get (cdr (assoc name named)) :description)))))
         (name (or script
                   (completing-read "Run workflow: " named nil t nil nil (and (assoc here named) here)))))
    (list name
          (sidestep-arguments-read-all (plist-get (cdr (assoc name named)) :argsSchema)))))

;;;###autoload
(defun sidestep-interrupt (run-id)
  "Stop the run RUN-ID durably; it can be resumed."
  (interactive (list (sidestep-read-run (sidestep-here) "Interrupt: " '("active"))))
  (let ((stopped (sidestep-request (sidestep-here) :workflow/interrupt (list :runId run-id :wait "durable"))))
    (if (eq (plist-get stopped :alreadyTerminal) t)
        (message "The run had %s before" (plist-get stopped :status))
      (message "Interrupted; finished steps are kept, M-x sidestep-resume goes on"))))

(defun sidestep-verbs--went-on (session run-id)
  "Show RUN-ID of SESSION, which goes on."
  (let ((buffer (sidestep-run-open session run-id)))
    (message "%s goes on" run-id)
    buffer))

;;;###autoload
(defun sidestep-resume (run-id)
  "Go on with the interrupted run RUN-ID: finished steps are kept."
  (interactive (list (sidestep-read-run (sidestep-here) "Resume: " '("interrupted"))))
  (let ((session (sidestep-here)))
    (sidestep-result (sidestep-try-trusted session :workflow/resume (list :runId run-id :mode "background")))
    (sidestep-verbs--went-on session run-id)))

;;;###autoload
(defun sidestep-retry (run-id &optional current)
  "Do the failed steps of the run RUN-ID again; finished ones are kept.
With CURRENT, interactively a prefix argument, take the script as it is now."
  (interactive (list (sidestep-read-run (sidestep-here) "Retry: " '("failed")) current-prefix-arg))
  (let* ((session (sidestep-here))
         (tried (sidestep-try-trusted
                 session :workflow/retry
                 (list :runId run-id :mode "background" :source (if current "current" "snapshot")))))
    ;; The script itself failed: there is nothing to redo but with an edited one.
    (if (and (sidestep-refusal-p tried) (not current)
             (equal (sidestep-refusal-reason tried) "invalidTransition")
             (equal (plist-get (sidestep-refusal-data tried) :status) "failed")
             (y-or-n-p (format "%s.  Retry with the script as it is now? " (sidestep-refusal-message tried))))
        (sidestep-retry run-id t)
      (sidestep-result tried)
      (sidestep-verbs--went-on session run-id))))

;;;###autoload
(defun sidestep-continue (run-id &optional current)
  "Resume the run RUN-ID if it was interrupted, retry it if it failed.
With CURRENT, interactively a prefix argument, take the script as it is now."
  (interactive (list (sidestep-read-run (sidestep-here) "Go on with: " '("interrupted" "failed")) current-prefix-arg))
  (let ((run (plist-get (sidestep-request (sidestep-here) :workflow/get (list :runId run-id)) :run)))
    (if (or current (equal (plist-get run :status) "failed"))
        (sidestep-retry run-id current)
      (sidestep-resume run-id))))

;;;###autoload
(defun sidestep-show (run-id)
  "Show the run RUN-ID, live."
  (interactive (list (sidestep-read-run (sidestep-here) "Show: " nil)))
  (sidestep-connect (sidestep-here))
  (sidestep-run-open (sidestep-here) run-id))

;;;; Code actions

(defun sidestep-verbs--script (session uri)
  "The name of the script at URI when it is one of SESSION's folder, or nil."
  (let ((file (and uri (decode-coding-string (url-unhex-string (string-remove-prefix "file://" uri)) 'utf-8)))
        (scripts (expand-file-name ".sidestep/workflows/" (sidestep-session-root session))))
    (and file (file-equal-p (file-name-directory file) scripts) (file-name-base file))))

(defun sidestep-verbs--execute (server command arguments)
  "Carry COMMAND of SERVER with ARGUMENTS out, and show the run that it is about."
  (let* ((session (sidestep-session (project-root (slot-value server 'project))))
         (argument (elt arguments 0))
         (script (and (equal command "sidestep.run") (not (plist-get argument :args))
                      (sidestep-verbs--script session (plist-get argument :uri)))))
    (cond
     ;; Arguments of every type are asked for here, and trust.
     (script (apply #'sidestep-run (sidestep-verbs--read-start script)))
     ;; The buffer has the report, which the server would open beside it.
     ((equal command "sidestep.showRun") (sidestep-run-open session (plist-get argument :runId)))
     (t (let ((run-id (plist-get (jsonrpc-request server :workspace/executeCommand
                                                  (list :command command :arguments arguments))
                                 :runId)))
          (when run-id (sidestep-run-open session run-id)))))))

(cl-defmethod eglot-execute-command ((server sidestep-server) command arguments)
  "Carry COMMAND of SERVER with ARGUMENTS out here, in eglot before 1.13."
  (sidestep-verbs--execute server (format "%s" command) arguments))

(when (fboundp 'eglot-execute)
  (cl-defmethod eglot-execute ((server sidestep-server) action)
    "Carry the command of ACTION of SERVER out here, in eglot from 1.13 on."
    (let* ((command (plist-get action :command))
           (asked (if (stringp command) action command)))
      (if asked
          (sidestep-verbs--execute server (plist-get asked :command) (plist-get asked :arguments))
        (cl-call-next-method)))))

(provide 'sidestep-verbs)
;;; sidestep-verbs.el ends here
