;;; sidestep-arguments.el --- Values as a person types them  -*- lexical-binding: t; -*-

;; SPDX-License-Identifier: Apache-2.0

;;; Commentary:

;; Arguments of scripts and answers to questions, read in the minibuffer by
;; their JSON Schemas.  The server has the last word on whether they fit; what
;; is checked here is what can be said at once, while the text is still there.
;;
;; A value is what `json-serialize' takes with nil as null: vectors are lists,
;; hash tables are objects, :json-false is false.

;;; Code:

(require 'cl-lib)
(require 'subr-x)

(defconst sidestep-arguments--nouns
  '(("string" . "text") ("integer" . "a whole number") ("number" . "a number")
    ("boolean" . "true or false") ("null" . "null") ("array" . "a list") ("object" . "a JSON object"))
  "Types of JSON for people.")

(defun sidestep-arguments--members (schema)
  "The schemas of which a value of SCHEMA has to fit one."
  (append (or (plist-get schema :anyOf) (vector schema)) nil))

(defun sidestep-arguments-json (value)
  "VALUE as JSON text."
  (json-serialize value :null-object nil :false-object :json-false))

(defun sidestep-arguments-parse-json (text)
  "TEXT, which is JSON, as a value; otherwise an error."
  (json-parse-string text :null-object nil :false-object :json-false))

(defun sidestep-arguments-describe (schema)
  "What a value of SCHEMA is, for people."
  (cond ((plist-get schema :enum)
         (mapconcat #'sidestep-arguments--shown (plist-get schema :enum) " or "))
        ((plist-get schema :anyOf)
         (mapconcat #'sidestep-arguments-describe (plist-get schema :anyOf) " or "))
        (t (alist-get (plist-get schema :type) sidestep-arguments--nouns "any JSON" nil #'equal))))

(defun sidestep-arguments--shown (value)
  "VALUE as a person would type it."
  (if (stringp value) value (sidestep-arguments-json value)))

(defun sidestep-arguments-choices (schema)
  "The texts among which a value of SCHEMA is chosen, nil when it is typed."
  (let ((members (sidestep-arguments--members schema)))
    (and (cl-every (lambda (member)
                     (or (plist-get member :enum)
                         (member (plist-get member :type) '("boolean" "null"))))
                   members)
         (cl-mapcan (lambda (member)
                      (cond ((plist-get member :enum)
                             (mapcar #'sidestep-arguments--shown (plist-get member :enum)))
                            ((equal (plist-get member :type) "boolean") (list "true" "false"))
                            (t (list "null"))))
                    members))))

(defun sidestep-arguments--list (schema text)
  "TEXT, words as a shell has them, as a list by SCHEMA, in a list; or nil."
  (let* ((items (or (plist-get schema :items) '(:type "string")))
         (found (mapcar (lambda (word) (sidestep-arguments--try items word))
                        (ignore-errors (split-string-and-unquote text)))))
    (and (not (memq nil found))
         (list (vconcat (mapcar #'car found))))))

(defun sidestep-arguments--member (schema text)
  "TEXT as a value of SCHEMA, which is no union, in a list; or nil."
  (let* ((word (string-trim text))
         (type (plist-get schema :type))
         (json (ignore-errors (list (sidestep-arguments-parse-json word)))))
    (cond
     ((plist-get schema :enum)
      (let ((chosen (cl-find-if (lambda (each) (equal (sidestep-arguments--shown each) text))
                                (append (plist-get schema :enum) nil))))
        (and chosen (list chosen))))
     ((equal type "string") (list text))
     ((equal type "integer") (and (string-match-p "\\`[+-]?[0-9]+\\'" word) (list (string-to-number word))))
     ((equal type "number")
      (and (string-match-p "\\`[+-]?[0-9]+\\(\\.[0-9]+\\)?\\([eE][+-]?[0-9]+\\)?\\'" word)
           (list (string-to-number word))))
     ((equal type "boolean")
      (pcase (downcase word)
        ((or "true" "yes" "on") (list t))
        ((or "false" "no" "off") (list :json-false))))
     ((equal type "null") (and (member (downcase word) '("null" "none")) (list nil)))
     ((equal type "array")
      (if (string-prefix-p "[" word)
          (and (vectorp (car json)) json)
        (sidestep-arguments--list schema text)))
     ((equal type "object") (and (hash-table-p (car json)) json))
     (t (or json (list text))))))

(defun sidestep-arguments--try (schema text)
  "TEXT as a value of SCHEMA in a list, nil when it is none."
  (cl-some (lambda (member) (sidestep-arguments--member member text))
           (sidestep-arguments--members schema)))

(defun sidestep-arguments-value (schema text)
  "TEXT as a value of SCHEMA; a `user-error' says what was expected."
  (let ((found (sidestep-arguments--try schema text)))
    (unless found
      (user-error "Expected %s, got `%s'" (sidestep-arguments-describe schema) text))
    (car found)))

(defun sidestep-arguments-read (prompt schema &optional default)
  "Ask with PROMPT for a value of SCHEMA until one fits; the value in a list.
DEFAULT is what an empty answer stands for: nil when there has to be a value,
`absent', which makes the result nil, or a text for people, likewise."
  (let ((choices (sidestep-arguments-choices schema))
        (problem "")
        result)
    (while (not result)
      (let* ((asked (concat problem prompt ": "))
             (text (if choices
                       (completing-read asked choices nil (not default))
                     (read-string asked))))
        (if (and default (string-empty-p text))
            (setq result 'absent)
          (condition-case wrong
              (setq result (list (sidestep-arguments-value schema text)))
            (user-error (setq problem (format "[%s] " (error-message-string wrong))))))))
    (and (consp result) result)))

(defun sidestep-arguments--prompt (name schema required)
  "How the argument NAME of SCHEMA, which may be REQUIRED, is asked for."
  (let ((description (plist-get schema :description)))
    (format "%s%s (%s%s)"
            name
            (if description (concat " - " (string-trim-right description "\\.")) "")
            (sidestep-arguments-describe schema)
            (cond (required "")
                  ((plist-member schema :default)
                   (format ", default %s" (sidestep-arguments--shown (plist-get schema :default))))
                  (t ", may be left out")))))

(defun sidestep-arguments-read-all (schema)
  "Ask for the arguments that SCHEMA, a script's, has; an object.
An empty answer leaves out an argument that has a default."
  (let ((args (make-hash-table :test #'equal))
        (required (append (plist-get schema :required) nil)))
    (cl-loop for (keyword property) on (plist-get schema :properties) by #'cddr
             for name = (substring (symbol-name keyword) 1)
             for needed = (member name required)
             for value = (sidestep-arguments-read
                          (sidestep-arguments--prompt name property needed) property (and (not needed) 'absent))
             when value do (puthash name (car value) args))
    args))

(provide 'sidestep-arguments)
;;; sidestep-arguments.el ends here
