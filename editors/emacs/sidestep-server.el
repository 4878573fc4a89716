;;; sidestep-server.el --- One Sidestep server for each folder  -*- lexical-binding: t; -*-

;; SPDX-License-Identifier: Apache-2.0

;;; Commentary:

;; Finds the server, has eglot start it, and starts it again when it dies.
;;
;; Eglot keeps servers by project and major mode.  Workflow scripts have a mode
;; and a project of their own, `(sidestep . FOLDER)', so that the server for the
;; other Python files of the folder stays what it was.
;;
;; Invariant: what is to outlive a server (the trust given in this session, the
;; last status of each run) stands in the session, not in the connection.

;;; Code:

(require 'cl-lib)
(require 'eglot)
(require 'project)
(require 'subr-x)
(require 'url-util)
(require 'sidestep-wire)

(defgroup sidestep nil
  "Durable workflows."
  :group 'tools
  :prefix "sidestep-")

(defcustom sidestep-command nil
  "The server's program, or its whole command as a list of strings.
Nil looks for `sidestep' in the project's .venv, then on variable `exec-path'."
  :type '(choice (const :tag "Look for it" nil)
                 (file :tag "Program")
                 (repeat :tag "Whole command" string))
  :risky t)

(defcustom sidestep-initialization-options nil
  "Sent to the server as it is: a plist such as (:permissionPolicy \"ask\")."
  :type 'plist
  :risky t)

(defconst sidestep-restarts-max 5
  "A server that dies so often within `sidestep-restarts-window' is asked about.")

(defconst sidestep-restarts-window 180
  "Seconds in which the deaths of a server count.")

;;;; Folders and sessions

(cl-defstruct sidestep-session
  "What is known about one folder, whichever server serves it."
  root                                  ; absolute, ends with a slash
  server                                ; a `sidestep-server', or nil
  trusted                               ; t when the person trusted it in this session
  deaths                                ; times at which a server ended by itself
  (runs (make-hash-table :test #'equal))) ; run id -> last `workflow/statusChanged'

(defvar sidestep-sessions (make-hash-table :test #'equal)
  "Folder to session.")

(defvar sidestep-connected-functions nil
  "Called with a session when a server, the first or a later one, serves it.")

(defvar sidestep-disconnected-functions nil
  "Called with a session and a text for people when its server has ended.")

(defvar-local sidestep-folder nil
  "The folder that this buffer shows something of.")

(defun sidestep-folder ()
  "The folder whose workflows are meant here, absolute, with a slash at its end."
  (or sidestep-folder
      (let* ((marked (locate-dominating-file
                      default-directory
                      (lambda (folder)
                        (file-directory-p (expand-file-name ".sidestep/workflows" folder)))))
             (project (and (not marked) (project-current))))
        (file-name-as-directory
         (expand-file-name (or marked (and project (project-root project)) default-directory))))))

(defun sidestep-session (folder)
  "The session of FOLDER, made when there is none."
  (or (gethash folder sidestep-sessions)
      (puthash folder (make-sidestep-session :root folder) sidestep-sessions)))

(cl-defmethod project-root ((project (head sidestep)))
  "The folder of PROJECT, in which scripts are attached to Sidestep."
  (cdr project))

(defun sidestep-find-project (_folder)
  "For eglot: the project of a workflow script."
  (and (bound-and-true-p eglot-lsp-context)
       (derived-mode-p 'sidestep-script-mode)
       (cons 'sidestep (sidestep-folder))))

(add-hook 'project-find-functions #'sidestep-find-project)

;;;; Finding the server

(defun sidestep-server-command (folder)
  "The command that starts a server for FOLDER, a list of strings."
  (let ((in-project (expand-file-name ".venv/bin/sidestep" folder))
        (set (if (stringp sidestep-command)
                 (list sidestep-command "serve" "--stdio")
               sidestep-command)))
    (cond
     ((file-remote-p folder)
      (user-error "Sidestep serves folders of this machine only, and %s is on another" folder))
     (set
      (or (executable-find (car set))
          (user-error "No Sidestep: `sidestep-command' names %s, which cannot be executed; %s"
                      (car set) "correct it, or set it to nil to look in .venv and on `exec-path'"))
      set)
     ((file-executable-p in-project) (list in-project "serve" "--stdio"))
     ((executable-find "sidestep") (list (executable-find "sidestep") "serve" "--stdio"))
     (t (user-error "No Sidestep: neither %s nor a `sidestep' on `exec-path'; %s"
                    in-project
                    "install it into the project's .venv, or set `sidestep-command'")))))

(defun sidestep-contact (&rest _)
  "For `eglot-server-programs': class and command of the server."
  (cons 'sidestep-server (sidestep-server-command (sidestep-folder))))

;; The first entry that fits is taken: this one before that of `python-mode'.
(add-to-list 'eglot-server-programs
             '(((sidestep-script-mode :language-id "python")) . sidestep-contact))

;;;; The connection

(defclass sidestep-server (eglot-lsp-server) ()
  :documentation "A connection to `sidestep serve'.")

(cl-defmethod initialize-instance :around ((server sidestep-server) &optional slots)
  "Be told of the end of SERVER; SLOTS are its initial values."
  (let ((ended (plist-get slots :on-shutdown)))
    (cl-call-next-method
     server
     (plist-put (copy-sequence slots) :on-shutdown
                (lambda (connection)
                  ;; Eglot's own restarts know nothing of runs and are not counted.
                  (setf (slot-value connection 'inhibit-autoreconnect) t)
                  (when ended (funcall ended connection))
                  (sidestep--ended connection))))))

(cl-defmethod initialize-instance :after ((server sidestep-server) &optional _slots)
  "Lose nothing of what SERVER sends."
  (sidestep-wire-mend (jsonrpc--process server)))

(cl-defmethod eglot-client-capabilities ((_server sidestep-server))
  "Those of eglot, and what we do with runs."
  (let* ((offered (copy-sequence (cl-call-next-method)))
         (experimental (plist-get offered :experimental)))
    (plist-put offered :experimental
               (append '(:workflow (:protocolVersions [1] :events t :output t :interaction t))
                       (and (consp experimental) experimental)))))

(cl-defmethod eglot-initialization-options ((server sidestep-server))
  "The options that are set, and the trust that SERVER's predecessors were given."
  (let* ((root (project-root (slot-value server 'project)))
         (options (copy-sequence sidestep-initialization-options)))
    (when (sidestep-session-trusted (sidestep-session root))
      (setq options (plist-put options :trust (list :folders (vector (sidestep-uri root))))))
    (or options (make-hash-table))))

(defun sidestep-uri (folder)
  "FOLDER as a URI."
  (concat "file://" (mapconcat #'url-hexify-string (split-string (directory-file-name folder) "/") "/")))

(defun sidestep--connected (server)
  "Take SERVER over when it is one of ours."
  (when (cl-typep server 'sidestep-server)
    (let ((session (sidestep-session (project-root (slot-value server 'project))))
          (offer (plist-get (plist-get (slot-value server 'capabilities) :experimental) :workflow)))
      (if (not (plist-get offer :protocolVersion))
          (display-warning 'sidestep "The server speaks another version of the protocol than this package: \
workflows cannot be run.  Update the older of the two.")
        (setf (sidestep-session-server session) server)
        (run-hook-with-args 'sidestep-connected-functions session)))))

(add-hook 'eglot-connect-hook #'sidestep--connected)

(defun sidestep-live-server (session)
  "The server of SESSION, or nil."
  (let ((server (sidestep-session-server session)))
    (and server (jsonrpc-running-p server) server)))

(defun sidestep-connect (session)
  "The server of SESSION, started when there is none."
  (or (sidestep-live-server session)
      (let* ((root (sidestep-session-root session))
             (command (sidestep-server-command root))
             (eglot-sync-connect t))
        (setf (sidestep-session-deaths session) nil)
        ;; Eglot shuts down the server of the buffer it is called in: not that of the person's.
        (with-temp-buffer
          (setq default-directory root)
          (ignore-errors
            (eglot '(sidestep-script-mode) (cons 'sidestep root) 'sidestep-server command "python")))
        (or (sidestep-live-server session)
            (user-error "Sidestep's server ended before it was ready; run `%s' in a terminal to see why"
                        (string-join command " "))))))

;;;; Its end

(defun sidestep--ended (server)
  "Start another server in place of SERVER, unless somebody has stopped it."
  (let ((session (sidestep-session (project-root (slot-value server 'project))))
        (wanted (and (slot-boundp server 'shutdown-requested) (slot-value server 'shutdown-requested)))
        (now (float-time)))
    ;; One that was never ready is told by whoever wanted it, or is one of the restarts.
    (when (or (eq (sidestep-session-server session) server)
              (and (null (sidestep-session-server session)) (sidestep-session-deaths session)))
      (setf (sidestep-session-server session) nil)
      (if wanted
          (run-hook-with-args 'sidestep-disconnected-functions session "the server was stopped; g starts it")
        (setf (sidestep-session-deaths session)
              (cons now (cl-remove-if (lambda (then) (> (- now then) sidestep-restarts-window))
                                      (sidestep-session-deaths session))))
        (run-hook-with-args 'sidestep-disconnected-functions session "the server has ended; starting another")
        ;; Not from inside of the sentinel, where nothing may be waited for.
        (run-with-timer 0 nil #'sidestep--restart session server)))))

(defun sidestep--restart (session server)
  "Connect SESSION again as SERVER was; ask first when that happens too often."
  (unless (sidestep-live-server session)
    (cond
     ((<= (length (sidestep-session-deaths session)) sidestep-restarts-max)
      (let ((eglot-sync-connect nil))
        (eglot-reconnect server)))
     ((y-or-n-p (format "Sidestep's server for %s ended %d times in %d minutes.  Start it again? "
                        (abbreviate-file-name (sidestep-session-root session))
                        (length (sidestep-session-deaths session))
                        (/ sidestep-restarts-window 60)))
      (setf (sidestep-session-deaths session) nil)
      (sidestep--restart session server))
     (t (run-hook-with-args 'sidestep-disconnected-functions session
                            "the server keeps ending; g starts it once more")))))

;;;; Requests

(cl-defstruct sidestep-refusal
  "What a server answers in place of a result.
MESSAGE is for people, REASON is stable, DATA a plist."
  message reason data)

(defun sidestep-try (session method params)
  "Send METHOD with PARAMS to the server of SESSION, and wait.
The result, or a `sidestep-refusal'."
  (condition-case refused
      (jsonrpc-request (sidestep-connect session) method params :timeout 30)
    (jsonrpc-error
     (let ((data (alist-get 'jsonrpc-error-data (cddr refused))))
       (make-sidestep-refusal :message (or (alist-get 'jsonrpc-error-message (cddr refused)) "no answer")
                              :reason (plist-get data :reason)
                              :data data)))))

(defun sidestep-result (tried)
  "TRIED, what `sidestep-try' gave, unless it is a refusal: that is an error."
  (if (sidestep-refusal-p tried)
      (user-error "Sidestep: %s" (sidestep-refusal-message tried))
    tried))

(defun sidestep-request (session method params)
  "The result of METHOD with PARAMS from the server of SESSION, waited for."
  (sidestep-result (sidestep-try session method params)))

(defun sidestep-send (session method params done &optional failed)
  "Send METHOD with PARAMS to the server of SESSION; nothing is waited for.
DONE is called with the result, FAILED with the error's plist.  When there is no
server nothing is done: `sidestep-connected-functions' tells of the next one."
  (when (sidestep-live-server session)
    (jsonrpc-async-request (sidestep-live-server session) method params
                           :success-fn done
                           :error-fn (or failed #'ignore)
                           :timeout-fn (lambda ()
                                         (when failed (funcall failed '(:code 0 :message "the server does not answer"))))
                           :timeout 60)))

(defun sidestep-try-trusted (session method params)
  "As `sidestep-try' for SESSION, METHOD and PARAMS, but ask for missing trust."
  (let ((tried (sidestep-try session method params)))
    (if (not (and (sidestep-refusal-p tried) (equal (sidestep-refusal-reason tried) "workspaceUntrusted")))
        tried
      (sidestep-ask-trust session (plist-get (sidestep-refusal-data tried) :folder))
      (sidestep-try session method params))))

(defun sidestep-ask-trust (session folder)
  "Ask whether FOLDER is trusted, and tell the server of SESSION; no is an error."
  (let* ((choices '("yes, for this session" "yes, always" "no"))
         (answer (completing-read
                  (format "Workflows in %s may run any command as you.  Trust it? " (abbreviate-file-name folder))
                  choices nil t)))
    (unless (member answer (butlast choices))
      (user-error "Nothing was run: %s is not trusted" (abbreviate-file-name folder)))
    (sidestep-request session :workflow/trust
                      (list :folders (vector folder)
                            :trusted t
                            :remember (if (equal answer "yes, always") t :json-false)))
    (setf (sidestep-session-trusted session) t)))

(provide 'sidestep-server)
;;; sidestep-server.el ends here
